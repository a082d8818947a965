"""The server: the console's pages, the API and the engine in one process.

Started by `./run serve`, `streamlit run app.py` or `uvicorn app:app`; the home is the folder that
RELEASELINE_HOME names. Everything happens in the lifespan; importing this module opens nothing.
"""

from __future__ import annotations

from pathlib import Path

# Not used here. The first page with a table or a chart would import them beside a running engine,
# and DuckDB, which looks for pandas too, would let every query wait until that has ended.
import pandas  # type: ignore[import-untyped]  # noqa: F401
import plotly.graph_objects  # noqa: F401
import streamlit as st

from engine.api.server import Server

_server = Server()

# The main script lies in pages/, not beside it: with pages/ next to the main script, a cold deep
# link would run a page without the frame and its sign-in.
app = st.App(
    Path(__file__).parent / "pages" / "console.py",
    secrets=_server.secrets(),
    lifespan=_server.lifespan,
    routes=_server.routes(),
    middleware=_server.middleware(),
)

if __name__ == "__main__":
    app.run()
