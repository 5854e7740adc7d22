import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.time.Instant;
import java.util.Date;

/** Asks the EU's DSS: "ANCHOR.pem[,ANCHOR.pem...] TIME FILE..."; one line a file: its name, then level/indication/subindication of each signature. */
public final class Judge {
  public static void main(String[] arguments) throws Exception {
    CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
    for (String anchor : arguments[0].split(",")) {
      trusted.addCertificate(DSSUtils.loadCertificate(new File(anchor)));
    }
    for (int i = 2; i < arguments.length; i++) {
      File file = new File(arguments[i]);
      SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(file));
      CommonCertificateVerifier verifier = new CommonCertificateVerifier();
      verifier.setTrustedCertSources(trusted);
      validator.setCertificateVerifier(verifier);
      validator.setValidationTime(Date.from(Instant.parse(arguments[1])));
      Reports reports = validator.validateDocument();
      SimpleReport report = reports.getSimpleReport();
      StringBuilder line = new StringBuilder(file.getName());
      for (String id : report.getSignatureIdList()) {
        line.append(' ').append(report.getSignatureFormat(id)).append('/').append(report.getIndication(id));
        if (report.getSubIndication(id) != null) {
          line.append('/').append(report.getSubIndication(id));
        }
        report.getAdESValidationErrors(id).forEach(message -> System.err.println(file.getName() + ": " + message.getValue()));
      }
      System.out.println(line);
    }
  }
}
