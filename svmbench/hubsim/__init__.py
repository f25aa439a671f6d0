"""A loopback Hugging Face Hub, good enough for the real clients: for tests, and to rehearse a release before the real one.

    with serve() as hub:
        hub.push(folder, "me/my-dataset", endpoint=hub.endpoint)

    state.py                            repositories, commits, branches, tags and file contents
    core.py                             requests, replies, who may do what
    repos.py  reading.py  writing.py    the handlers: a request in, a reply out, no network in them
    routes.py                           which request goes to which handler
    server.py                           two loopback origins (the API, and the "CDN" of the large files), faults, the log

It serves dataset repositories: create, card validation, preupload, LFS in one piece or in parts, commits with a pinned parent,
branches, tags, trees, private and gated repositories, downloads with ranges. It does not have xet, pull requests or rate limits.
"""

from svmbench.hubsim.server import Hub, serve
from svmbench.hubsim.state import TOKEN, Fault, Seen

__all__ = ["TOKEN", "Fault", "Hub", "Seen", "serve"]
