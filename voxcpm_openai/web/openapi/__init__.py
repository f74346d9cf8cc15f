"""The API reference: an OpenAPI document made from routes, schemas and views, and its page."""
