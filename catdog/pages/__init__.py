"""The app's pages and their parts: the only modules that import streamlit."""
