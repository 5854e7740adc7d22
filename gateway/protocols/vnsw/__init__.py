"""The SOAP gateway of the Vietnamese National Single Window and its dialects."""
