"""Object storage: the only door to images and run files, on a local disk or in S3.

`open_store` gives a store to list, read and write; `list_images` what a run is to read;
`Fetcher` reads single objects by URI, in workers. boto3 is imported when an s3:// URI is opened.
"""

from facelib.storage.base import ObjectStore, ObjectTooLargeError, StorageSettings, StoredObject
from facelib.storage.manifest import is_manifest, list_images
from facelib.storage.uris import Fetcher, open_store

__all__ = [
    "Fetcher",
    "ObjectStore",
    "ObjectTooLargeError",
    "StorageSettings",
    "StoredObject",
    "is_manifest",
    "list_images",
    "open_store",
]
