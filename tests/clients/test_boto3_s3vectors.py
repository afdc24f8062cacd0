"""boto3's `s3vectors` client at its defaults: buckets, indexes, vectors, queries, filters, text."""

import math
import random
import uuid

import botocore.exceptions
import pytest


@pytest.fixture
def vectors(boto3_vectors):
    return boto3_vectors


@pytest.fixture
def vector_bucket(vectors):
    name = f"vectors-{uuid.uuid4().hex[:12]}"
    vectors.create_vector_bucket(vectorBucketName=name)
    return name


@pytest.fixture
def new_index(vectors, vector_bucket):
    """Makes an index; takes what `create_index` takes. Answers what names it in other calls."""

    def make(dimension=3, metric="euclidean", **more):
        name = f"index-{uuid.uuid4().hex[:12]}"
        vectors.create_index(
            vectorBucketName=vector_bucket,
            indexName=name,
            dataType="float32",
            dimension=dimension,
            distanceMetric=metric,
            **more,
        )
        return {"vectorBucketName": vector_bucket, "indexName": name}

    return make


def row(key, data, **metadata):
    return {"key": key, "data": {"float32": data}, "metadata": metadata}


def fails(code, status, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error["Error"]["Message"]
    return error["Error"]["Message"]


def keys(answer):
    return [vector["key"] for vector in answer["vectors"]]


def test_a_vector_bucket_is_made_found_listed_and_deleted(vectors):
    name = f"life-{uuid.uuid4().hex[:12]}"
    arn = vectors.create_vector_bucket(vectorBucketName=name)["vectorBucketArn"]
    assert arn.startswith("arn:aws:s3vectors:us-east-1:") and arn.endswith(f":bucket/{name}")
    by_name = vectors.get_vector_bucket(vectorBucketName=name)["vectorBucket"]
    assert by_name == vectors.get_vector_bucket(vectorBucketArn=arn)["vectorBucket"]
    assert by_name["encryptionConfiguration"]["sseType"] == "AES256"
    listed = vectors.list_vector_buckets(prefix=name)["vectorBuckets"]
    assert [bucket["vectorBucketArn"] for bucket in listed] == [arn]
    fails("ConflictException", 409, vectors.create_vector_bucket, vectorBucketName=name)
    vectors.delete_vector_bucket(vectorBucketName=name)
    fails("NotFoundException", 404, vectors.get_vector_bucket, vectorBucketName=name)


def test_an_index_is_made_described_listed_and_deleted(vectors, vector_bucket, new_index):
    index = new_index(
        dimension=5,
        metric="cosine",
        metadataConfiguration={"nonFilterableMetadataKeys": ["text"]},
    )
    described = vectors.get_index(**index)["index"]
    assert (described["dimension"], described["distanceMetric"]) == (5, "cosine")
    assert described["dataType"] == "float32"
    assert described["metadataConfiguration"]["nonFilterableMetadataKeys"] == ["text"]
    assert vectors.get_index(indexArn=described["indexArn"])["index"] == described
    listed = vectors.list_indexes(vectorBucketName=vector_bucket)["indexes"]
    assert [entry["indexName"] for entry in listed] == [index["indexName"]]
    fails("ConflictException", 409, vectors.delete_vector_bucket, vectorBucketName=vector_bucket)
    vectors.delete_index(**index)
    fails("NotFoundException", 404, vectors.get_index, **index)
    fails("NotFoundException", 404, vectors.query_vectors, **index, topK=1,
          queryVector={"float32": [1] * 5})
    vectors.delete_vector_bucket(vectorBucketName=vector_bucket)


def test_what_is_put_is_found_at_once_and_reads_back(vectors, new_index):
    index = new_index()
    rows = [row("a", [1, 0, 0], color="red"), row("b", [0, 1.5, 0], color="blue", sizes=[1, 2])]
    vectors.put_vectors(**index, vectors=rows)
    found = vectors.query_vectors(
        **index, topK=5, queryVector={"float32": [1, 0, 0]}, returnDistance=True,
        returnMetadata=True,
    )
    assert found["distanceMetric"] == "euclidean"
    assert keys(found) == ["a", "b"]
    assert found["vectors"][0]["distance"] == 0
    assert found["vectors"][1]["distance"] == pytest.approx(math.sqrt(1 + 2.25), rel=1e-6)
    assert found["vectors"][1]["metadata"] == {"color": "blue", "sizes": [1, 2]}
    got = vectors.get_vectors(**index, keys=["b", "none"], returnData=True, returnMetadata=True)
    assert got["vectors"] == [rows[1]]
    vectors.put_vectors(**index, vectors=[row("a", [0, 0, 9])])
    vectors.delete_vectors(**index, keys=["b", "never there"])
    got = vectors.get_vectors(**index, keys=["a", "b"], returnData=True, returnMetadata=True)
    assert got["vectors"] == [row("a", [0, 0, 9])]


def test_cosine_distance_is_one_less_the_cosine(vectors, new_index):
    index = new_index(dimension=2, metric="cosine")
    vectors.put_vectors(**index, vectors=[row("same", [2, 0]), row("right", [0, 3]), row("back", [-1, 0])])
    found = vectors.query_vectors(
        **index, topK=3, queryVector={"float32": [5, 0]}, returnDistance=True)
    assert keys(found) == ["same", "right", "back"]
    distances = [vector["distance"] for vector in found["vectors"]]
    assert distances == pytest.approx([0, 1, 2], abs=1e-6)


FILTERS = [
    ({"n": 3}, lambda d: d["n"] == 3),
    ({"n": {"$ne": 3}}, lambda d: d["n"] != 3),
    ({"n": {"$gte": 2, "$lt": 5}}, lambda d: 2 <= d["n"] < 5),
    ({"tag": {"$in": ["a", "b"]}}, lambda d: bool({"a", "b"} & set(d["tag"]))),
    ({"tag": "a"}, lambda d: "a" in d["tag"]),
    ({"even": True, "n": {"$gt": 5}}, lambda d: d["even"] and d["n"] > 5),
    ({"$or": [{"n": 1}, {"$and": [{"even": False}, {"n": {"$gt": 7}}]}]},
     lambda d: d["n"] == 1 or (not d["even"] and d["n"] > 7)),
    ({"name": {"$startsWith": "row 1"}}, lambda d: d["name"].startswith("row 1")),
    ({"maybe": {"$exists": True}}, lambda d: "maybe" in d),
    ({"maybe": {"$exists": False}}, lambda d: "maybe" not in d),
]


def test_filters_leave_exactly_what_matches(vectors, new_index):
    index = new_index(dimension=2)
    documents = {}
    for n in range(10):
        document = {"n": n, "even": n % 2 == 0, "tag": ["abc"[n % 3], "x"], "name": f"row {n}"}
        if n < 4:
            document["maybe"] = "there"
        documents[f"k{n}"] = document
    vectors.put_vectors(
        **index, vectors=[row(key, [1, int(key[1:])], **d) for key, d in documents.items()])
    for filter, matches in FILTERS:
        found = vectors.query_vectors(
            **index, topK=100, queryVector={"float32": [0, 1]}, filter=filter)
        expected = [key for key, document in documents.items() if matches(document)]
        assert sorted(keys(found)) == expected, filter


def test_listing_pages_and_parallel_parts_give_every_row_once(vectors, new_index):
    index = new_index(dimension=2)
    wanted = {f"key {n}" for n in range(300)}
    rows = [row(key, [1, n], n=n) for n, key in enumerate(sorted(wanted))]
    vectors.put_vectors(**index, vectors=rows)
    pages = vectors.get_paginator("list_vectors").paginate(
        **index, PaginationConfig={"PageSize": 70})
    listed = [key for page in pages for key in keys(page)]
    assert len(listed) == 300 and set(listed) == wanted
    parts = []
    for part in range(4):
        pages = vectors.get_paginator("list_vectors").paginate(
            **index, segmentCount=4, segmentIndex=part, returnData=True, returnMetadata=True)
        parts += [vector for page in pages for vector in page["vectors"]]
    assert sorted(parts, key=lambda v: v["key"]) == rows


def test_a_query_for_many_comes_in_pages_of_one_order(vectors, new_index):
    index = new_index(dimension=4)
    chance = random.Random(4)
    rows = [row(f"k{n}", [chance.uniform(-1, 1) for _ in range(4)]) for n in range(450)]
    vectors.put_vectors(**index, vectors=rows)
    query = [0.1, 0.2, 0.3, 0.4]
    pages = list(vectors.get_paginator("query_vectors").paginate(
        **index, topK=350, queryVector={"float32": query}, returnDistance=True))
    assert len(pages) > 1
    found = [vector for page in pages for vector in page["vectors"]]
    expected = sorted(rows, key=lambda r: math.dist(r["data"]["float32"], query))[:350]
    assert [vector["key"] for vector in found] == [r["key"] for r in expected]
    distances = [vector["distance"] for vector in found]
    assert distances == sorted(distances)


def test_texts_are_found_and_fused_with_vectors(vectors, new_index):
    index = new_index(
        dimension=2,
        metadataConfiguration={
            "nonFilterableMetadataKeys": ["body"],
            "textSearchConfigurations": [{"metadataKey": "body", "language": "en"}],
        },
    )
    configured = vectors.get_index(**index)["index"]["metadataConfiguration"]
    assert configured["textSearchConfigurations"][0]["status"] == "ACTIVE"
    vectors.put_vectors(**index, vectors=[
        row("fox", [1, 0], body="The quick brown fox jumps"),
        row("dog", [0, 1], body="A lazy dog sleeps"),
        row("both", [5, 5], body="Foxes and dogs run"),
    ])
    asked = [{"metadataKey": "body", "text": "running dogs"}]
    found = vectors.query_vectors(**index, topK=3, queryTexts=asked, returnScores=True,
                                  queryVector={"float32": [5, 5]})
    assert keys(found)[0] == "both"
    scores = found["vectors"][0]["scores"]
    assert scores["fused"] > 0
    assert scores["bm25Scores"][0]["metadataKey"] == "body"
    assert scores["bm25Scores"][0]["score"] > 0


def test_tags_and_policies_are_kept(vectors, vector_bucket):
    arn = vectors.get_vector_bucket(vectorBucketName=vector_bucket)["vectorBucket"]["vectorBucketArn"]
    vectors.tag_resource(resourceArn=arn, tags={"team": "search", "stage": "test"})
    vectors.untag_resource(resourceArn=arn, tagKeys=["stage"])
    assert vectors.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "search"}
    fails("NotFoundException", 404, vectors.get_vector_bucket_policy, vectorBucketName=vector_bucket)
    policy = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",'
              f'"Action":"s3vectors:QueryVectors","Resource":"{arn}/index/*"}}]}}')
    vectors.put_vector_bucket_policy(vectorBucketName=vector_bucket, policy=policy)
    assert vectors.get_vector_bucket_policy(vectorBucketName=vector_bucket)["policy"] == policy
    vectors.delete_vector_bucket_policy(vectorBucketName=vector_bucket)
    fails("NotFoundException", 404, vectors.get_vector_bucket_policy, vectorBucketName=vector_bucket)


REFUSED = [
    ("a wrong dimension", {"vectors": [row("k", [1, 2])]}),
    ("a vector without direction", {"vectors": [row("k", [0, 0, 0])]}),
    ("a key twice", {"vectors": [row("k", [1, 2, 3]), row("k", [3, 2, 1])]}),
    ("an empty key", {"vectors": [row("", [1, 2, 3])]}),
    ("not a number", {"vectors": [row("k", [1, float("nan"), 3])]}),
    ("beyond all numbers", {"vectors": [row("k", [1, 1e39, 3])]}),
    ("51 metadata keys", {"vectors": [row("k", [1, 2, 3], **{f"m{n}": n for n in range(51)})]}),
    ("41 KB of metadata", {"vectors": [row("k", [1, 2, 3], text="x" * 41_000)]}),
    ("3 KB to filter by", {"vectors": [row("k", [1, 2, 3], color="x" * 3_000)]}),
]


@pytest.mark.parametrize("what, arguments", REFUSED, ids=[what for what, _ in REFUSED])
def test_a_write_that_is_not_right_is_refused_whole(vectors, new_index, what, arguments):
    index = new_index(metric="cosine", metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})
    good = row("good", [1, 1, 1])
    arguments = {"vectors": [good] + arguments["vectors"]}
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.ParamValidationError)) as caught:
        vectors.put_vectors(**index, **arguments)
    if isinstance(caught.value, botocore.exceptions.ClientError):
        assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert vectors.list_vectors(**index)["vectors"] == []


def test_an_index_survives_its_segments_being_sealed(vectors, new_index):
    index = new_index(dimension=8)
    chance = random.Random(8)
    for start in range(0, 3000, 500):
        rows = [row(f"k{n}", [chance.uniform(-1, 1) for _ in range(8)], n=n)
                for n in range(start, start + 500)]
        vectors.put_vectors(**index, vectors=rows)
    found = vectors.query_vectors(**index, topK=3, queryVector={"float32": [0.5] * 8},
                                  filter={"n": {"$gte": 2990}}, returnMetadata=True)
    assert len(found["vectors"]) == 3
    assert all(vector["metadata"]["n"] >= 2990 for vector in found["vectors"])
