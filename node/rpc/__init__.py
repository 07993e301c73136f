"""JSON-RPC over HTTP: one file a namespace (eth in five, by noun).

    server (bytes, Host, limits) -> dispatch (JSON, batch) -> methods (arguments by annotation) -> eth_*, net, txpool, …
                                                                          | api: block_lookup, work_lane, filters, …
                                                                          v
                                                                 backend (chain, pool, peers, consensus)

May import everything below; nothing imports it but the roof. ``service.RpcService`` is the door for the roof,
``dispatch.Dispatcher.call`` the one for tests and the simulator. What runs code or reads much goes through
``work_lane``, so that the event loop stays free for votes.
"""
