"""Who signed and who may send: policy, keys, signer, verifier, prover."""
