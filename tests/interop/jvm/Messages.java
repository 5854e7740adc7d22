import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.stream.Collectors;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.wss4j.common.WSEncryptionPart;
import org.apache.wss4j.common.crypto.Merlin;
import org.apache.wss4j.common.ext.WSSecurityException;
import org.apache.wss4j.dom.WSConstants;
import org.apache.wss4j.dom.WSDataRef;
import org.apache.wss4j.dom.engine.WSSConfig;
import org.apache.wss4j.dom.engine.WSSecurityEngine;
import org.apache.wss4j.dom.engine.WSSecurityEngineResult;
import org.apache.wss4j.dom.handler.RequestData;
import org.apache.wss4j.dom.handler.WSHandlerResult;
import org.apache.wss4j.dom.message.WSSecHeader;
import org.apache.wss4j.dom.message.WSSecSignature;
import org.apache.wss4j.dom.message.WSSecTimestamp;
import org.w3c.dom.Document;

/**
 * Secures and judges SOAP messages with Apache WSS4J: "QUESTIONS ANCHOR.pem...", and in the file of questions one a line, fields parted by
 * tabs: "secure IN OUT PKCS12 PASSWORD METHOD", or "judge FILE", which is answered by the file's name and what is signed or why it is refused.
 */
public final class Messages {
  private static final int LIFETIME = 300;

  public static void main(String[] arguments) throws Exception {
    WSSConfig.init();
    Merlin trusted = new Merlin();
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    for (int i = 1; i < arguments.length; i++) {
      try (InputStream stream = new FileInputStream(arguments[i])) {
        store.setCertificateEntry(arguments[i], CertificateFactory.getInstance("X.509").generateCertificate(stream));
      }
    }
    trusted.setTrustStore(store);
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      String[] question = line.split("\t");
      if (question[0].equals("secure")) {
        secure(question);
      } else {
        File file = new File(question[1]);
        System.out.println(file.getName() + ' ' + judge(read(file), trusted));
      }
    }
  }

  private static Document read(File file) throws Exception {
    DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
    factory.setNamespaceAware(true);
    return factory.newDocumentBuilder().parse(file);
  }

  private static void secure(String[] question) throws Exception {
    Document document = read(new File(question[1]));
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream stream = new FileInputStream(question[3])) {
      store.load(stream, question[4].toCharArray());
    }
    Merlin own = new Merlin();
    own.setKeyStore(store);
    WSSecHeader header = new WSSecHeader(document);
    header.insertSecurityHeader();
    WSSecTimestamp stamp = new WSSecTimestamp(header);
    stamp.setTimeToLive(LIFETIME);
    stamp.build();
    WSSecSignature signature = new WSSecSignature(header);
    signature.setUserInfo(store.aliases().nextElement(), question[4]);
    signature.setKeyIdentifierType(WSConstants.BST_DIRECT_REFERENCE);
    signature.setSignatureAlgorithm(question[5]);
    signature.setDigestAlgo(WSConstants.SHA256);
    signature.getParts().add(new WSEncryptionPart("Body", document.getDocumentElement().getNamespaceURI(), ""));
    signature.getParts().add(new WSEncryptionPart("Timestamp", WSConstants.WSU_NS, ""));
    signature.build(own);
    TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(new File(question[2])));
  }

  @SuppressWarnings("unchecked") // what a result holds is said by its name alone
  private static String judge(Document document, Merlin trusted) throws Exception {
    RequestData request = new RequestData();
    request.setSigVerCrypto(trusted);
    request.setWssConfig(WSSConfig.getNewInstance());
    WSHandlerResult found;
    try {
      found = new WSSecurityEngine().processSecurityHeader(document, request);
    } catch (WSSecurityException refused) {
      return refused.getErrorCode().name();
    }
    StringBuilder signed = new StringBuilder();
    for (WSSecurityEngineResult result : found.getActionResults().getOrDefault(WSConstants.SIGN, List.of())) {
      List<WSDataRef> covered = (List<WSDataRef>) result.get(WSSecurityEngineResult.TAG_DATA_REF_URIS);
      signed.append(covered.stream().map(WSDataRef::getXpath).sorted().collect(Collectors.joining(" ")));
      X509Certificate certificate = (X509Certificate) result.get(WSSecurityEngineResult.TAG_X509_CERTIFICATE);
      signed.append(" by ").append(certificate.getSubjectX500Principal().getName());
    }
    return signed.toString();
  }
}
