"""The app's pages and which of them is open: streamlit run streamlit_app.py"""

import streamlit as st

from catdog.pages import leaving
from catdog.pages.every_page import visitor
from catdog.places import PAGES, go_to_working_folder
from catdog.public_mode import is_public
from catdog.runs.owners import note_visit
from catdog.runs.run_folder import runs_folder

go_to_working_folder()
st.set_page_config(page_title="Catdog", page_icon=":material/pets:", layout="wide")
# Settings and what they do fit on one screen when the pages begin right below the navigation.
st.html("<style>.stMainBlockContainer { padding-top: 4.5rem; padding-bottom: 3rem }</style>")
page = st.navigation(
    [
        st.Page(PAGES / "train.py", title="Train", icon=":material/model_training:", default=True),
        st.Page(PAGES / "classify.py", title="Classify", icon=":material/image_search:"),
        st.Page(PAGES / "runs.py", title="Runs", icon=":material/view_list:"),
        st.Page(PAGES / "how_it_works.py", title="How it works", icon=":material/school:"),
    ],
    position="top",
)
if is_public():
    visitor.require_safe_server()
    note_visit(runs_folder(), visitor.owner())
page.run()
if is_public():
    leaving.show_notice()
