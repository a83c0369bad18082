"""The door for models: `models/*.toml` in, cards and models out."""

from pkpd.card import citations
from pkpd.catalogue.files import (
    check_model_file,
    load_card,
    load_model,
    model_names,
    model_path,
    model_titles,
    read_toml,
    shipped,
)

__all__ = [
    "check_model_file",
    "citations",
    "load_card",
    "load_model",
    "model_names",
    "model_path",
    "model_titles",
    "read_toml",
    "shipped",
]
