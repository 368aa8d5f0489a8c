"""HTML pages from templates that escape their values."""

from typing import Any

import jinja2


def rendered(package: str, template: str, **values: Any) -> str:
    """Return a page as text.

    Args:
        package: whose folder `templates` has the template.
        template: its file name.
        values: what it shows; one that it names and that is missing is an error.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template(template).render(**values)
