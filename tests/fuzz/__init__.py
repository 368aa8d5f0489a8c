"""Bad values for every argument of every public function: see `test_fuzz.py`."""
