"""The national portal (party NSW): where traders submit and read their dossiers."""
