"""The page without a server: `hrdepth pack NET --web FOLDER` writes it, `hrdepth serve FOLDER` serves it by https."""
