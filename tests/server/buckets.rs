//! Buckets: names, owners, and what a new bucket of AWS answers about itself.

use crate::support::process::{ALICE, BOB};
use crate::support::{Bucket, Setup, bucket, shared};

#[test]
fn a_bucket_is_made_found_and_removed() {
    let bucket = bucket("life");
    let location = format!("/{}", bucket.name);
    let response = bucket.put("").send().expect(200);
    assert_eq!(response.header("location"), Some(location.as_str()), "made again by its owner");
    bucket.head("").send().expect(200).with("x-amz-bucket-region", "us-east-1");
    bucket.delete("").send().expect(204);
    bucket.head("").send().expect(404);
    bucket.delete("").send().refused(404, "NoSuchBucket");
    bucket.get("").send().refused(404, "NoSuchBucket");
    bucket.put("").send().expect(200);
    assert!(bucket.keys().is_empty());
}

#[test]
fn making_a_bucket_again_keeps_what_is_in_it() {
    let bucket = bucket("again");
    bucket.store("k", "content");
    bucket.put("").send().expect(200);
    let locked = bucket.put("").header("x-amz-bucket-object-lock-enabled", "true");
    locked.send().refused(409, "BucketAlreadyOwnedByYou");
    bucket.get("?object-lock").send().refused(404, "ObjectLockConfigurationNotFoundError");
    assert_eq!(bucket.content("k"), b"content");
}

#[test]
fn names_follow_the_rules_of_aws() {
    let client = shared().client();
    let (long, longest) = ("x".repeat(64), "y".repeat(63));
    let bad = [
        "ab",
        "Upper",
        "under_score",
        "-leading",
        "trailing-",
        ".dot",
        "dot.",
        "two..dots",
        "192.168.5.4",
        "xn--prefix",
        "suffix-s3alias",
        "sp%20ace",
        "%C3%A9cole",
        "exclaim!",
        long.as_str(),
    ];
    for name in bad {
        let response = client.request("PUT", &format!("/{name}")).send();
        response.refused(400, "InvalidBucketName");
    }
    for name in ["abc", "a.b-c.1", "123", longest.as_str()] {
        client.request("PUT", &format!("/{name}")).send().expect(200);
        client.request("DELETE", &format!("/{name}")).send().expect(204);
    }
}

#[test]
fn a_bucket_with_objects_stays() {
    let bucket = bucket("not-empty");
    bucket.store("k", "x");
    bucket.delete("").send().refused(409, "BucketNotEmpty");
    assert_eq!(bucket.content("k"), b"x");
    bucket.delete("k").send().expect(204);
    bucket.delete("").send().expect(204);
}

#[test]
fn buckets_are_listed_for_their_owner_in_pages() {
    let server = Setup::new().start();
    let alice = server.client().with_keys(ALICE.0, ALICE.1);
    let bob = server.client().with_keys(BOB.0, BOB.1);
    for name in ["alpha", "beta", "gamma", "beta-2"] {
        alice.request("PUT", &format!("/{name}")).send().expect(200);
    }
    bob.request("PUT", "/bobs").send().expect(200);
    let names = |target: &str| {
        let xml = alice.request("GET", target).send().expect(200).xml();
        let names = xml.child("Buckets").expect("buckets").column("Bucket", "Name");
        (names, xml.text("ContinuationToken"))
    };
    assert_eq!(names("/").0, ["alpha", "beta", "beta-2", "gamma"]);
    assert_eq!(names("/?prefix=beta").0, ["beta", "beta-2"]);
    let (first, token) = names("/?max-buckets=3");
    assert_eq!(first, ["alpha", "beta", "beta-2"]);
    let token = crate::support::signing::encode(token);
    let (rest, token) = names(&format!("/?max-buckets=3&continuation-token={token}"));
    assert_eq!((rest, token.as_str()), (vec!["gamma".to_owned()], ""));
    let xml = bob.request("GET", "/").send().expect(200).xml();
    assert_eq!(xml.child("Buckets").expect("buckets").column("Bucket", "Name"), ["bobs"]);
    assert_eq!(xml.child("Owner").expect("an owner").text("ID").len(), 64);
    for bad in ["0", "10001", "x"] {
        let response = alice.request("GET", &format!("/?max-buckets={bad}")).send();
        response.refused(400, "InvalidArgument");
    }
}

#[test]
fn another_users_bucket_is_closed() {
    let alices = bucket("closed").seen_by(ALICE);
    let alices = Bucket::create(&alices.client, "closed-alice");
    alices.store("k", "hers");
    let seen = alices.seen_by(BOB);
    seen.put("").send().refused(409, "BucketAlreadyExists");
    for request in [
        seen.get(""),
        seen.get("k"),
        seen.get("k?tagging"),
        seen.get("missing"),
        seen.put("k").body("his"),
        seen.delete("k"),
        seen.delete(""),
        seen.get("?versioning"),
        seen.get("?versions"),
        seen.get("?uploads"),
        seen.post("k?uploads"),
    ] {
        request.send().refused(403, "AccessDenied");
    }
    seen.head("").send().expect(403);
    seen.head("k").send().expect(403);
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let response = seen.post("?delete").body(body).content_md5().send();
    if response.status == 200 {
        assert_eq!(response.xml().column("Error", "Code"), ["AccessDenied"]);
    } else {
        response.refused(403, "AccessDenied");
    }
    assert_eq!(alices.content("k"), b"hers");
}

#[test]
fn nobody_without_a_signature_sees_anything() {
    let bucket = bucket("anonymous");
    bucket.store("k", "x");
    for request in [
        bucket.get(""),
        bucket.get("k"),
        bucket.put("k").body("y"),
        bucket.delete("k"),
        bucket.client.request("GET", "/"),
    ] {
        request.anonymous().send().refused(403, "AccessDenied");
    }
    bucket.head("k").anonymous().send().expect(403);
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn root_owns_the_store() {
    let bucket = bucket("root");
    let alices = Bucket::create(&bucket.seen_by(ALICE).client, "root-alice");
    alices.store("k", "hers");
    let seen = Bucket { client: shared().client(), name: alices.name };
    assert_eq!(seen.content("k"), b"hers");
}

#[test]
fn a_bucket_tells_where_it_was_made() {
    let server = Setup::new().env("LODESTORE_REGION", "eu-central-1").start();
    let client = server.client();
    let create = |name: &str, region: &str| {
        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        client.request("PUT", &format!("/{name}")).body(body).send()
    };
    client.request("PUT", "/by-default").send().expect(200);
    create("named", "eu-central-1").expect(200);
    for name in ["by-default", "named"] {
        let response = client.request("GET", &format!("/{name}?location")).send().expect(200);
        assert_eq!(response.xml().content, "eu-central-1", "{name}");
    }
    for region in ["no such place", "../.."] {
        create("nowhere", region).client_error();
    }
    client.request("HEAD", "/nowhere").send().expect(404);
}

#[test]
fn us_east_1_is_said_by_silence() {
    let bucket = bucket("location");
    let response = bucket.get("?location").send().expect(200);
    assert_eq!(response.xml().name, "LocationConstraint");
    assert_eq!(response.xml().content, "");
}

#[test]
fn a_new_bucket_answers_as_a_new_bucket_of_aws() {
    let bucket = bucket("defaults");
    for (query, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ] {
        let response = bucket.get(&format!("?{query}")).send();
        // What this store does not offer at all says so instead.
        response.refused_as(&[(404, code), (501, "NotImplemented")]);
    }
    let ownership = bucket.get("?ownershipControls").send().expect(200).xml();
    assert_eq!(ownership.column("Rule", "ObjectOwnership"), ["BucketOwnerEnforced"]);
    let access = bucket.get("?publicAccessBlock").send().expect(200).xml();
    for field in
        ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    {
        assert_eq!(access.text(field), "true", "{field}");
    }
    let encryption = bucket.get("?encryption").send().expect(200).text();
    assert!(encryption.contains("<SSEAlgorithm>AES256</SSEAlgorithm>"), "{encryption}");
    let grants = bucket.get("?acl").send().expect(200).xml();
    let grants = grants.child("AccessControlList").expect("a list").column("Grant", "Permission");
    assert_eq!(grants, ["FULL_CONTROL"]);
}

#[test]
fn what_is_not_offered_is_not_implemented_and_changes_nothing() {
    let bucket = bucket("not-implemented");
    bucket.store("k", "content");
    for (method, target) in [
        ("PUT", "?replication"),
        ("PUT", "?accelerate"),
        ("PUT", "?website"),
        ("PUT", "?notification"),
        ("PUT", "?inventory&id=1"),
        ("PUT", "?analytics&id=1"),
        ("PUT", "?metrics&id=1"),
        ("PUT", "?intelligent-tiering&id=1"),
        ("POST", "k?select&select-type=2"),
        ("GET", "k?torrent"),
        ("POST", "k?restore"),
    ] {
        let response = bucket.request(method, target).body("<X/>").send();
        let refused = response.status == 501 || (400..500).contains(&response.status);
        assert!(refused, "{method} {target}: {response}");
    }
    assert_eq!(bucket.content("k"), b"content");
}

#[test]
fn an_expected_owner_that_is_another_is_refused() {
    let bucket = bucket("expected-owner");
    bucket.store("k", "x");
    for request in [bucket.get("k"), bucket.get(""), bucket.put("k").body("y"), bucket.delete("k")]
    {
        let request = request.header("x-amz-expected-bucket-owner", "111122223333");
        request.send().refused(403, "AccessDenied");
    }
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn a_configured_domain_carries_buckets_in_the_host() {
    let server = Setup::new().env("LODESTORE_DOMAINS", "s3.example.com").start();
    let bucket = Bucket::create(&server.client(), "virtual");
    let client = &bucket.client;
    let host = format!("{}.s3.example.com", bucket.name);
    client.request("PUT", "/a/key").host(&host).body("by host").send().expect(200);
    assert_eq!(bucket.content("a/key"), b"by host");
    let listed = client.request("GET", "/?list-type=2").host(&host).send().expect(200);
    assert_eq!(listed.xml().column("Contents", "Key"), ["a/key"]);
    let with_port = format!("{host}:9000");
    client.request("GET", "/a/key").host(&with_port).send().expect(200);
    client
        .request("GET", &format!("/{}/a/key", bucket.name))
        .host("s3.example.com")
        .send()
        .expect(200);
    // Any other host is just a name of this machine.
    client
        .request("GET", &format!("/{}/a/key", bucket.name))
        .host("localhost:9000")
        .send()
        .expect(200);
    client
        .request("GET", &format!("/{}/a/key", bucket.name))
        .host("xs3.example.com")
        .send()
        .expect(200);
}

#[test]
fn acls_are_disabled() {
    let bucket = bucket("acl");
    bucket.put("k").body("x").header("x-amz-acl", "bucket-owner-full-control").send().expect(200);
    let request = bucket.put("public").body("x").header("x-amz-acl", "public-read");
    request.send().refused(400, "AccessControlListNotSupported");
    bucket.head("public").send().expect(404);
    let request = bucket.put("k?acl").header("x-amz-acl", "public-read");
    request.send().refused(400, "AccessControlListNotSupported");
    bucket.get("k").anonymous().send().refused(403, "AccessDenied");
}
