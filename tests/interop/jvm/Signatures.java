import java.io.File;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
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

/** Verifies and signs with the JDK's own javax.xml.crypto: "verify FILE...", or "sign IN OUT PKCS12 PASSWORD METHOD PLACE [ID]". */
public final class Signatures {
  private static final XMLSignatureFactory FACTORY = XMLSignatureFactory.getInstance("DOM");

  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("verify")) {
      for (int i = 1; i < arguments.length; i++) {
        verify(new File(arguments[i]));
      }
      return;
    }
    sign(arguments);
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

  private static void verify(File file) throws Exception {
    NodeList found = read(file).getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
    StringBuilder line = new StringBuilder(file.getName());
    for (int i = 0; i < found.getLength(); i++) {
      DOMValidateContext context = new DOMValidateContext(new FirstCertificate(), found.item(i));
      boolean valid;
      try {
        valid = FACTORY.unmarshalXMLSignature(context).validate(context);
      } catch (Exception refused) {
        valid = false;
      }
      line.append(' ').append(valid);
    }
    System.out.println(line);
  }

  private static void sign(String[] arguments) throws Exception {
    Document document = read(new File(arguments[1]));
    KeyStore store = KeyStore.getInstance("PKCS12");
    char[] password = arguments[4].toCharArray();
    try (FileInputStream stream = new FileInputStream(arguments[3])) {
      store.load(stream, password);
    }
    String alias = store.aliases().nextElement();
    String id = arguments.length > 7 ? arguments[7] : "";
    List<Transform> transforms = new ArrayList<>();
    if (id.isEmpty()) {
      transforms.add(FACTORY.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null));
    }
    transforms.add(FACTORY.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null));
    Reference reference =
        FACTORY.newReference(
            id.isEmpty() ? "" : "#" + id,
            FACTORY.newDigestMethod("http://www.w3.org/2001/04/xmlenc#sha256", null),
            transforms,
            null,
            null);
    SignedInfo info =
        FACTORY.newSignedInfo(
            FACTORY.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
            FACTORY.newSignatureMethod(arguments[5], null),
            Collections.singletonList(reference));
    KeyInfoFactory infos = FACTORY.getKeyInfoFactory();
    X509Data data = infos.newX509Data(Collections.singletonList(store.getCertificate(alias)));
    KeyInfo key = infos.newKeyInfo(Collections.singletonList(data));
    NodeList places = document.getElementsByTagName(arguments[6]);
    DOMSignContext context = new DOMSignContext((PrivateKey) store.getKey(alias, password), places.item(places.getLength() - 1));
    FACTORY.newXMLSignature(info, key).sign(context);
    TransformerFactory.newInstance()
        .newTransformer()
        .transform(new DOMSource(document), new StreamResult(new File(arguments[2])));
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
