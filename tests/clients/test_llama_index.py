"""LlamaIndex's vector store on S3 Vectors, at its defaults."""

import uuid

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.s3 import S3VectorStore


@pytest.fixture
def store(boto3_vectors):
    bucket = f"llama-{uuid.uuid4().hex[:12]}"
    boto3_vectors.create_vector_bucket(vectorBucketName=bucket)
    return S3VectorStore.create_index_from_bucket(bucket, "nodes", dimension=3)


def node(name, embedding, document, **metadata):
    relations = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(id_=name, text=f"the text of {name}", embedding=embedding, metadata=metadata,
                    relationships=relations)


NODES = [
    node("one", [1.0, 0.0, 0.1], "first", kind="x", page=1),
    node("two", [0.9, 0.1, 0.0], "first", kind="y", page=2),
    node("three", [0.0, 1.0, 0.0], "second", kind="x", page=3),
]


def ask(store, embedding, top=10, filters=None):
    query = VectorStoreQuery(query_embedding=embedding, similarity_top_k=top, filters=filters)
    return store.query(query)


def test_nodes_are_added_and_found_nearest_first(store):
    assert store.add(NODES) == ["one", "two", "three"]
    found = ask(store, [1.0, 0.0, 0.1])
    assert found.ids == ["one", "two", "three"]
    assert found.nodes[0].text == "the text of one"
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-6)


def test_filters_leave_what_matches(store):
    store.add(NODES)
    filters = MetadataFilters(filters=[
        MetadataFilter(key="kind", value="x"),
        MetadataFilter(key="page", value=1, operator=FilterOperator.GT),
    ])
    assert ask(store, [1.0, 0.0, 0.0], filters=filters).ids == ["three"]


def test_nodes_are_read_and_deleted_by_id_and_by_document(store):
    store.add(NODES)
    assert [node.node_id for node in store.get_nodes(["three"])] == ["three"]
    store.delete_nodes(["three"])
    assert set(ask(store, [0.0, 1.0, 0.0]).ids) == {"one", "two"}
    store.delete("first")
    assert ask(store, [0.0, 1.0, 0.0]).ids == []
