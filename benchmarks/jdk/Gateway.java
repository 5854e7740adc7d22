import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.xml.XMLConstants;
import javax.xml.crypto.AlgorithmMethod;
import javax.xml.crypto.KeySelector;
import javax.xml.crypto.KeySelectorException;
import javax.xml.crypto.KeySelectorResult;
import javax.xml.crypto.XMLCryptoContext;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import javax.xml.validation.SchemaFactory;
import javax.xml.validation.Validator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * What the gateway does with a signed envelope, done by the JDK alone: parse, verify, validate, sign, serialise. "SCHEMA PKCS12 PASSWORD
 * DOCUMENT RESULT": writes what comes out to RESULT, then answers each number on standard input by the nanoseconds of CPU that so many calls
 * took this thread, and the whole process. All that can be kept from one message to the next is kept.
 */
public final class Gateway {
  private static final ThreadMXBean THREAD = ManagementFactory.getThreadMXBean();
  private static final OperatingSystemMXBean PROCESS = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  private final XMLSignatureFactory factory = XMLSignatureFactory.getInstance("DOM");
  private final DocumentBuilder builder;
  private final Validator validator;
  private final Transformer writer;
  private final PrivateKey key;
  private final X509Certificate certificate;

  private Gateway(File schema, File store, char[] password) throws Exception {
    DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
    builders.setNamespaceAware(true);
    builders.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true);
    builders.setExpandEntityReferences(false);
    builder = builders.newDocumentBuilder();
    validator = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(schema).newValidator();
    writer = TransformerFactory.newInstance().newTransformer();
    writer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream stream = new FileInputStream(store)) {
      keys.load(stream, password);
    }
    String alias = keys.aliases().nextElement();
    key = (PrivateKey) keys.getKey(alias, password);
    certificate = (X509Certificate) keys.getCertificate(alias);
  }

  public static void main(String[] arguments) throws Exception {
    Gateway gateway = new Gateway(new File(arguments[0]), new File(arguments[1]), arguments[2].toCharArray());
    byte[] received = Files.readAllBytes(Path.of(arguments[3]));
    Files.write(Path.of(arguments[4]), gateway.pass(received));
    BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    for (String line = asked.readLine(); line != null; line = asked.readLine()) {
      long process = PROCESS.getProcessCpuTime();
      long thread = THREAD.getCurrentThreadCpuTime();
      for (int left = Integer.parseInt(line); left > 0; left--) {
        gateway.pass(received);
      }
      thread = THREAD.getCurrentThreadCpuTime() - thread;
      System.out.println(thread + " " + (PROCESS.getProcessCpuTime() - process));
    }
  }

  private byte[] pass(byte[] received) throws Exception {
    Document document = builder.parse(new ByteArrayInputStream(received));
    Element slot = (Element) document.getDocumentElement().getLastChild();
    verify(slot.getFirstChild());
    slot.removeChild(slot.getFirstChild());
    validator.validate(new DOMSource(document)); // throws, having no error handler
    sign(slot);
    ByteArrayOutputStream written = new ByteArrayOutputStream(received.length);
    writer.transform(new DOMSource(document), new StreamResult(written));
    return written.toByteArray();
  }

  private void verify(Node signature) throws Exception {
    DOMValidateContext context = new DOMValidateContext(new Registered(certificate), signature);
    if (!factory.unmarshalXMLSignature(context).validate(context)) {
      throw new IllegalArgumentException("the signature is not good");
    }
  }

  private void sign(Element slot) throws Exception {
    Transform enveloped = factory.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null);
    Transform canonical = factory.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null);
    DigestMethod digest = factory.newDigestMethod(DigestMethod.SHA256, null);
    Reference reference = factory.newReference("", digest, List.of(enveloped, canonical), null, null);
    SignedInfo info =
        factory.newSignedInfo(
            factory.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
            factory.newSignatureMethod("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", null),
            List.of(reference));
    KeyInfoFactory infos = factory.getKeyInfoFactory();
    KeyInfo held = infos.newKeyInfo(List.of(infos.newX509Data(List.of(certificate))));
    factory.newXMLSignature(info, held).sign(new DOMSignContext(key, slot));
  }

  /** Gives the key of the certificate that came along, if that is the one registered and it is in force. */
  private static final class Registered extends KeySelector {
    private final X509Certificate registered;

    private Registered(X509Certificate registered) {
      this.registered = registered;
    }

    @Override
    public KeySelectorResult select(KeyInfo info, Purpose purpose, AlgorithmMethod method, XMLCryptoContext context) throws KeySelectorException {
      Object found = ((X509Data) info.getContent().get(0)).getContent().get(0);
      if (!registered.equals(found)) {
        throw new KeySelectorException("another certificate");
      }
      try {
        registered.checkValidity();
      } catch (CertificateException refused) {
        throw new KeySelectorException(refused);
      }
      return registered::getPublicKey;
    }
  }
}
