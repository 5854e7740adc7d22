"""An envelope to read: as a portal writes it, with both signatures' places."""

import pytest

DS = "http://www.w3.org/2000/09/xmldsig#"
ENVELOPE = f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope>
  <Header>
    <Reference><version>1.0</version><messageId>0190b2d6-5b5c-7cc3-98c4-dc0c0c07398f</messageId></Reference>
    <From><name>Cổng NSW</name><identity>NSW</identity><countryCode>VN</countryCode><ministryCode>BTC</ministryCode>\
<organizationCode>TCHQ</organizationCode><unitCode>NSW</unitCode></From>
    <To><name>BNN</name><identity>BNN</identity><countryCode>VN</countryCode><ministryCode>BNN</ministryCode>\
<organizationCode>CBVTV</organizationCode></To>
    <Subject><documentType>BNN&amp;PTNT0300002</documentType><type>10</type><function>01</function>\
<reference>2026-000123</reference><documentYear>2026</documentYear><preReference></preReference>\
<sendDate>2026-10-12 09:30:00</sendDate></Subject>
  </Header>
  <Body>
    <Content Id="content">
      <Application><NameOfGoods>Quả thanh long ruột đỏ &lt;tươi&gt; &amp; sạch</NameOfGoods></Application>
    </Content>
    <Signature><ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>person</ds:SignedInfo></ds:Signature></Signature>
  </Body>
  <SystemSignature><ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>system</ds:SignedInfo></ds:Signature></SystemSignature>
</Envelope>
"""


@pytest.fixture
def envelope() -> bytes:
    return ENVELOPE.encode()
