"""Who is looking at the page, where the app is open to the public: known again by a cookie, and by nothing else."""

import json

import streamlit as st

from catdog.pages.every_page.words import plain
from catdog.public_mode import is_public, limits
from catdog.runs import visitors

TOKEN = "visitor_token"  # in the session's state
# Options of Streamlit's that keep strangers apart, and how each must stand.
SAFE_OPTIONS = {
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
}


def owner() -> str | None:
    """What stands in the folders of this visitor's; None where the app isn't open to the public."""
    if not is_public():
        return None
    if TOKEN not in st.session_state:
        # A cookie rather than a link: a link is passed on, is seen over a shoulder, and stays in the logs of servers.
        known = st.context.cookies.get(cookie_name())
        st.session_state[TOKEN] = known if visitors.is_token(known) else visitors.new_token()
    return visitors.owner_with(st.session_state[TOKEN])


def cookie_name() -> str:
    """What the cookie is called; browsers let no other host set one that begins like this, but want HTTPS for it."""
    return "__Host-catdog" if (st.context.url or "").startswith("https:") else "catdog"


def require_safe_server() -> None:
    """Show what is wrong, and end the page there, where Streamlit's own protection of visitors was turned off."""
    wrong = [name for name, needed in SAFE_OPTIONS.items() if bool(st.get_option(name)) != needed]
    if wrong:
        words = ", ".join(f"{name}={str(SAFE_OPTIONS[name]).lower()}" for name in wrong)
        st.error(
            plain(f"This app can't be open to the public like this: start it with {words}."), icon=":material/lock:"
        )
        st.stop()


def set_cookie() -> None:
    """Let the browser remember who the visitor is, for as long as what they leave here is kept.

    Streamlit sets no cookies, so that a script on the page has to, and may read it; what another script on the page
    could do with it, that could do without it.
    """
    name, seconds = cookie_name(), limits().hours * 3600
    rules = f"path=/; max-age={seconds}; samesite=strict{'; secure' if name.startswith('__Host-') else ''}"
    cookie = json.dumps(f"{name}={st.session_state[TOKEN]}; {rules}")
    st.html(f"<script>document.cookie = {cookie}</script>", width="content", unsafe_allow_javascript=True)
