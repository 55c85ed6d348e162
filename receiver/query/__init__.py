"""Questions about what is stored: one :class:`receiver.query.service.QueryService`, the only door."""
