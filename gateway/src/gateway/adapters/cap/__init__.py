"""CAP 1.2: public warnings as documents, and the Atom feed that lists them."""
