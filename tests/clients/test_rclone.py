"""rclone with a remote of type s3, provider Other."""

import pytest

from plain_http import send


@pytest.fixture
def rclone(command, store, tmp_path):
    remote = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_LODE_TYPE": "s3",
        "RCLONE_CONFIG_LODE_PROVIDER": "Other",
        "RCLONE_CONFIG_LODE_ENDPOINT": store.endpoint,
        "RCLONE_CONFIG_LODE_ACCESS_KEY_ID": store.access_key,
        "RCLONE_CONFIG_LODE_SECRET_ACCESS_KEY": store.secret_key,
    }

    (tmp_path / "rclone.conf").touch()

    def run(*words, **arguments):
        return command("rclone", *words, environment=remote, **arguments)

    return run


@pytest.fixture
def remote(bucket):
    return f"lode:{bucket}"


def lines(printed):
    return sorted(printed.splitlines())


def transferred(command_output):
    return [line for line in command_output.splitlines() if "Copied" in line]


def test_mkdir_makes_a_bucket_and_rmdir_removes_it(rclone, new_bucket):
    name = f"{new_bucket()}-rclone"
    rclone("mkdir", f"lode:{name}")
    assert f"{name}/" in lines(rclone("lsf", "lode:"))
    rclone("rmdir", f"lode:{name}")
    assert f"{name}/" not in lines(rclone("lsf", "lode:"))


def test_copy_carries_a_tree_and_check_finds_it_equal(rclone, remote, tree, tmp_path):
    rclone("copy", tree.path, f"{remote}/tree")
    assert lines(rclone("lsf", "--recursive", "--files-only", f"{remote}/tree")) == sorted(
        tree.files
    )
    rclone("check", tree.path, f"{remote}/tree")
    rclone("check", "--download", tree.path, f"{remote}/tree")
    rclone("copy", f"{remote}/tree", "down")
    assert tree.read(tmp_path / "down") == tree.files


def test_sync_carries_changes_and_removals_and_the_second_time_does_nothing(
    rclone, remote, tree, tmp_path
):
    rclone("sync", tree.path, remote)
    (tree.path / "a.txt").write_bytes(b"changed, and longer")
    (tree.path / "empty").unlink()
    rclone("sync", tree.path, remote)
    assert lines(rclone("lsf", "--recursive", "--files-only", remote)) == sorted(
        set(tree.files) - {"empty"}
    )
    assert rclone("cat", f"{remote}/a.txt") == "changed, and longer"
    log = tmp_path / "log"
    rclone("sync", "-v", "--log-file", log, tree.path, remote)
    assert "Copied" not in log.read_text()
    assert "Deleted" not in log.read_text()


def test_check_finds_a_difference(rclone, s3, bucket, remote, tree):
    rclone("copy", tree.path, remote)
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"FIRST\n")
    rclone("check", tree.path, remote, expect=1)


def test_a_large_file_goes_up_in_parts_and_comes_down(
    rclone, s3, bucket, remote, large_file, tmp_path
):
    rclone(
        "copyto", "--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi", large_file, f"{remote}/k"
    )
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-4"')
    rclone("copyto", f"{remote}/k", "down")
    assert (tmp_path / "down").read_bytes() == large_file.read_bytes()
    rclone("check", large_file, remote, "--one-way", expect=1)


def test_lsf_shows_one_level(rclone, remote, tree):
    rclone("copy", tree.path, remote)
    assert lines(rclone("lsf", remote)) == sorted(
        {name.split("/")[0] + "/" * ("/" in name) for name in tree.files}
    )


def test_moveto_renames_inside_the_store(rclone, s3, bucket, remote):
    s3.put_object(Bucket=bucket, Key="a", Body=b"hello")
    rclone("moveto", f"{remote}/a", f"{remote}/dir/b")
    assert rclone("lsf", "--recursive", "--files-only", remote) == "dir/b\n"
    assert rclone("cat", f"{remote}/dir/b") == "hello"


def test_rcat_streams_from_standard_input(rclone, remote, large_file):
    rclone("rcat", f"{remote}/small", stdin=b"streamed")
    assert rclone("cat", f"{remote}/small") == "streamed"
    rclone("rcat", f"{remote}/large", stdin=large_file.read_bytes())
    assert rclone("size", f"{remote}/large").startswith("Total objects: 1 (1)\nTotal size: 20 MiB")


def test_a_range_is_read(rclone, remote):
    rclone("rcat", f"{remote}/k", stdin=b"0123456789")
    assert rclone("cat", "--offset", "3", "--count", "4", f"{remote}/k") == "3456"


def test_the_time_of_a_file_is_kept(rclone, remote, tree, tmp_path):
    rclone("copyto", tree.path / "a.txt", f"{remote}/a.txt")
    rclone("copyto", f"{remote}/a.txt", "down")
    assert (tmp_path / "down").stat().st_mtime == pytest.approx(
        (tree.path / "a.txt").stat().st_mtime, abs=1e-3
    )


def test_link_gives_a_url_that_anyone_can_read(rclone, remote):
    rclone("rcat", f"{remote}/with space", stdin=b"hello")
    url = rclone("link", "--expire", "1m", f"{remote}/with space").strip()
    status, _, body = send("GET", url)
    assert (status, body) == (200, b"hello")


def test_delete_and_purge_leave_nothing(rclone, remote, bucket, tree):
    rclone("copy", tree.path, remote)
    rclone("deletefile", f"{remote}/a.txt")
    rclone("delete", f"{remote}/deep")
    left = {name for name in tree.files if not name.startswith("deep/")} - {"a.txt"}
    assert lines(rclone("lsf", "--recursive", "--files-only", remote)) == sorted(left)
    rclone("purge", remote)
    assert f"{bucket}/" not in lines(rclone("lsf", "lode:"))
