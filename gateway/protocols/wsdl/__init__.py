"""What agencies with a WSDL of their own speak: typed SOAP calls."""
