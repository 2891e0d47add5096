from __future__ import annotations

import pytest

from trainers.command.secrets import is_secret, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AZURE_STORAGE_SAS_TOKEN"),
        *("PGPASSWORD", "MYSQL_PWD", "DB_PASS", "dbPassword", "db-password", "MLFLOW_TRACKING_PASSWORD", "APIKEY"),
        *("GITHUBTOKEN", "GITHUB_PAT", "SENTRY_DSN", "GOOGLE_APPLICATION_CREDENTIALS", "SLACK_WEBHOOK_URL", "TOKEN2"),
        *("SSH_AUTH_SOCK", "SESSION_COOKIE", "my_secret", "RAY_AUTH_TOKEN_PATH", "PRIVATE_KEY", "KAGGLE_KEY", "JWT"),
    ],
)
def test_a_name_of_a_secret(name: str) -> None:
    assert is_secret(name, "x")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "postgresql://user:word@host/db",
            "postgresql://user:wo/r?d@host/db",
            "redis://:word@host:6379",
            "https://x-access@github.com/a/b.git",
        ),
        *("https://host/path?x=1&token=abc", "https://host/?X-Amz-Signature=abc", "Server=h;Password=word;Port=1"),
        *(
            "AccountName=a;AccountKey=abc==",
            "ghp_0123456789abcdefghij",
            "hf_0123456789abcdefghij",
            "AKIAIOSFODNN7EXAMPLE",
        ),
        *("sk-proj-0123456789abcdefghij", "-----BEGIN RSA PRIVATE KEY-----\nabc", "eyJhbGciOi.eyJzdWIi.abc"),
        *("Authorization: Bearer abcdefgh", '{"api_key": "abc"}', "--password=abc", "http://user:word@proxy:3128"),
    ],
)
def test_a_value_of_a_secret(value: str) -> None:
    assert is_secret("X", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/home/me/project"),
        ("OLDPWD", "/tmp"),
        ("PATH", "/usr/bin:/bin"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("CUDA_VISIBLE_DEVICES", "0,1"),
        ("OMP_NUM_THREADS", "4"),
        ("PYTHONHASHSEED", "0"),
        ("HF_ENDPOINT", "https://huggingface.co/models?full=true"),
        ("NCCL_DEBUG", "INFO"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True,max_split_size_mb:128"),
        ("LS_COLORS", "rs=0:di=01;34"),
        ("XKB_KEYBOARD", "de"),
        ("EMAIL", "me@example.org"),
    ],
)
def test_what_is_recorded(name: str, value: str) -> None:
    assert not is_secret(name, value)


def test_only_secrets_are_left_out() -> None:
    environment = {
        "HOME": "/home/me",
        "API_KEY": "x",
        "DATABASE_URL": "postgresql://me:x@host/db",
        "URL": "https://host",
    }
    assert without_secrets(environment) == {"HOME": "/home/me", "URL": "https://host"}
