"""Sphinx's configuration for the pages that docs/pages.py has gathered."""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"

project = "vmtpy"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = False
smartquotes_action = "D"  # quotes stay as they are: values are to be copied
default_role = "code"  # `backticks` in docstrings
napoleon_use_ivar = True
myst_heading_anchors = 3
html_theme = "furo"
html_title = "vmtpy"
html_static_path = [str(ASSETS)]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "text"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 72
add_module_names = False
