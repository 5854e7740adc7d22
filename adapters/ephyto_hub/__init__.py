"""The IPPC ePhyto hub: certificates to the importing country's plant protection organisation."""
