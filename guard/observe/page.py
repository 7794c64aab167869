"""The page of a running guard: one document with its scripts and styles in it, without any data.

Owns the page's order, its words and its policy, as `guard.audit.page` does for the report, from
which it has charts and style. Data comes by `fetch` and as events from where the page came from,
and from nowhere else; every text of it is put into the page as text.
"""

from importlib import resources
from typing import Final

from guard import __version__
from guard.audit.markup import content_policy, escaped
from guard.audit.page import chart_scripts, page_styles

_ASSETS: Final = resources.files("guard.observe") / "assets"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


def render() -> tuple[str, dict[str, str]]:
    """The page, and the headers of every answer that a browser gets."""
    scripts = [*chart_scripts(), _asset("observe.js")]
    styles = [*page_styles(), _asset("observe.css")]
    policy = (
        f"{content_policy(scripts, styles)}; connect-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'"
    )
    html = _asset("observe.html")
    html = html.replace("<!--styles-->", "".join(f"<style>{style}</style>\n" for style in styles))
    html = html.replace("<!--version-->", escaped(__version__))
    html = html.replace(
        "<!--scripts-->", "".join(f"<script>{script}</script>\n" for script in scripts)
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return html, headers
