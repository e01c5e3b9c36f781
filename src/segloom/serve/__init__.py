"""Answering over HTTP: a server for trained networks, with a page and with KServe's protocol.

    models      what is served: a `Model` per name
    scheduler   a bounded queue in front of a few worker threads
    answers     from an answer to PNG, GeoJSON and JSON
    body        request bodies within limits of size and time
    segment     /v1: images in, pictures out
    protocol    /v2: tensors in, tensors out (Open Inference Protocol)
    pages       /: the page of `segloom.page`
    app         routes, token, errors, metrics
    server      the socket, time limits of connections, SIGTERM

Nothing here imports torch but `models.open_model`, and that only for a run. Other programs mount
`app.create_app`.
"""
