"""Configuration as a file: what `gatehouse config export` writes and `gatehouse config import` reads.

`yaml_tree` reads YAML of any origin within bounds and with its lines; `kinds` and `shapes` say what a document may hold
and turn it into messages and back; `document` is a whole file; `difference` compares two of them and says what to do in
which order. All of these are pure. `live` reads and changes a Gatehouse. `litellm` reads the files of LiteLLM's proxy.
"""
