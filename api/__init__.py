"""The public REST API, version 1: serializers, views, keys. Thin over the services of the apps below."""
