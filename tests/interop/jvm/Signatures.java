import java.io.File;
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import javax.xml.crypto.AlgorithmMethod;
import javax.xml.crypto.KeySelector;
import javax.xml.crypto.KeySelectorResult;
import javax.xml.crypto.XMLCryptoContext;
import javax.xml.crypto.XMLStructure;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * Verifies and signs by javax.xml.crypto, the JDK's own or that of a PROVIDER on the class path: "QUESTIONS [PROVIDER]", and in the file of
 * questions one a line, fields parted by tabs: "verify FILE", answered by the file's name and whether each of its signatures is good, or
 * "sign IN OUT PKCS12 PASSWORD METHOD PLACE [ID]".
 */
public final class Signatures {
  private final XMLSignatureFactory factory;

  private Signatures(XMLSignatureFactory factory) {
    this.factory = factory;
  }

  public static void main(String[] arguments) throws Exception {
    XMLSignatureFactory factory =
        arguments.length == 1
            ? XMLSignatureFactory.getInstance("DOM")
            : XMLSignatureFactory.getInstance("DOM", (Provider) Class.forName(arguments[1]).getDeclaredConstructor().newInstance());
    Signatures signatures = new Signatures(factory);
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      String[] question = line.split("\t");
      if (question[0].equals("verify")) {
        signatures.verify(new File(question[1]));
      } else {
        signatures.sign(question);
      }
    }
  }

  private static Document read(File file) throws Exception {
    DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
    factory.setNamespaceAware(true);
    Document document = factory.newDocumentBuilder().parse(file);
    NodeList every = document.getElementsByTagName("*");
    for (int i = 0; i < every.getLength(); i++) {
      Element element = (Element) every.item(i);
      if (element.hasAttribute("Id")) {
        element.setIdAttribute("Id", true);
      }
    }
    return document;
  }

  private void verify(File file) throws Exception {
    NodeList found = read(file).getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
    StringBuilder line = new StringBuilder(file.getName());
    for (int i = 0; i < found.getLength(); i++) {
      DOMValidateContext context = new DOMValidateContext(new FirstCertificate(), found.item(i));
      boolean valid;
      try {
        valid = factory.unmarshalXMLSignature(context).validate(context);
      } catch (Exception refused) {
        valid = false;
      }
      line.append(' ').append(valid);
    }
    System.out.println(line);
  }

  private void sign(String[] question) throws Exception {
    Document document = read(new File(question[1]));
    KeyStore store = KeyStore.getInstance("PKCS12");
    char[] password = question[4].toCharArray();
    try (FileInputStream stream = new FileInputStream(question[3])) {
      store.load(stream, password);
    }
    String alias = store.aliases().nextElement();
    String id = question.length > 7 ? question[7] : "";
    List<Transform> transforms = new ArrayList<>();
    if (id.isEmpty()) {
      transforms.add(factory.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null));
    }
    transforms.add(factory.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null));
    Reference reference =
        factory.newReference(
            id.isEmpty() ? "" : "#" + id,
            factory.newDigestMethod("http://www.w3.org/2001/04/xmlenc#sha256", null),
            transforms,
            null,
            null);
    SignedInfo info =
        factory.newSignedInfo(
            factory.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
            factory.newSignatureMethod(question[5], null),
            Collections.singletonList(reference));
    KeyInfoFactory infos = factory.getKeyInfoFactory();
    X509Data data = infos.newX509Data(Collections.singletonList(store.getCertificate(alias)));
    KeyInfo key = infos.newKeyInfo(Collections.singletonList(data));
    NodeList places = document.getElementsByTagName(question[6]);
    DOMSignContext context = new DOMSignContext((PrivateKey) store.getKey(alias, password), places.item(places.getLength() - 1));
    factory.newXMLSignature(info, key).sign(context);
    TransformerFactory.newInstance()
        .newTransformer()
        .transform(new DOMSource(document), new StreamResult(new File(question[2])));
  }

  /** Takes the key of the first certificate that came along, whoever it is. */
  private static final class FirstCertificate extends KeySelector {
    @Override
    public KeySelectorResult select(KeyInfo info, Purpose purpose, AlgorithmMethod method, XMLCryptoContext context) {
      for (XMLStructure structure : info.getContent()) {
        if (structure instanceof X509Data) {
          X509Certificate certificate = (X509Certificate) ((X509Data) structure).getContent().get(0);
          return certificate::getPublicKey;
        }
      }
      throw new IllegalArgumentException("no certificate");
    }
  }
}
