"""langchain-aws' vector store on S3 Vectors, at its defaults."""

import uuid

import pytest
from langchain_aws.vectorstores import AmazonS3Vectors
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings


class Letters(Embeddings):
    """Counts letters: enough to tell texts apart."""

    def embed_query(self, text):
        return [text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def store(boto3_vectors):
    bucket = f"langchain-{uuid.uuid4().hex[:12]}"
    boto3_vectors.create_vector_bucket(vectorBucketName=bucket)
    return AmazonS3Vectors(
        vector_bucket_name=bucket, index_name="documents", embedding=Letters())


DOCUMENTS = [
    Document("a zebra in the zoo", metadata={"genre": "animal", "year": 2001}, id="zebra"),
    Document("quick queens quarrel", metadata={"genre": "royal", "year": 2010}, id="queens"),
    Document("the king of kings", metadata={"genre": "royal", "year": 1999}, id="kings"),
]


def test_documents_are_added_and_found_by_what_they_say(store):
    assert store.add_documents(DOCUMENTS) == ["zebra", "queens", "kings"]
    best = store.similarity_search("zoo zebra", k=1)
    assert best[0].page_content == "a zebra in the zoo"
    assert best[0].metadata == {"genre": "animal", "year": 2001}


def test_a_filter_leaves_what_matches(store):
    store.add_documents(DOCUMENTS)
    found = store.similarity_search_with_score(
        "zoo zebra", k=5, filter={"$and": [{"genre": {"$eq": "royal"}}, {"year": {"$gt": 2000}}]})
    assert [document.id for document, _ in found] == ["queens"]
    assert 0 <= found[0][1] <= 2


def test_documents_are_read_by_id_and_deleted(store):
    store.add_documents(DOCUMENTS)
    assert [document.id for document in store.get_by_ids(["kings", "zebra"])] == ["kings", "zebra"]
    store.delete(["kings"])
    found = store.similarity_search("the king of kings", k=5)
    assert {document.id for document in found} == {"zebra", "queens"}
    store.delete()
    assert store.client.list_indexes(vectorBucketName=store.vector_bucket_name)["indexes"] == []


def test_a_retriever_answers(store):
    store.add_documents(DOCUMENTS)
    retriever = store.as_retriever(search_kwargs={"k": 2})
    assert retriever.invoke("kings")[0].id == "kings"
