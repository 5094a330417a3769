"""The project's own files keep their promises."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import yaml

from settings import Settings
from workflows.search_attributes import ALL

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.temporal.yml"


def run_tool(*command):
    """Run a tool of the environment and return what it did."""
    program = str(Path(sysconfig.get_path("scripts")) / command[0])
    return subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_import_rules_hold():
    """Who may know whom, as architecture.md says."""
    result = run_tool("lint-imports", "--no-cache")
    assert result.returncode == 0, result.stdout


def test_the_import_rules_can_fail(tmp_path):
    """The check is no decoration: a domain that imports the database breaks a contract."""
    (tmp_path / "domain").mkdir()
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "__init__.py").touch()
    (tmp_path / "domain" / "__init__.py").write_text("import db\n")
    config = tmp_path / "config.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["domain", "db"]\n[[tool.importlinter.contracts]]\n'
        'name = "x"\ntype = "forbidden"\nsource_modules = ["domain"]\nforbidden_modules = ["db"]\n'
    )
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    result = subprocess.run(
        [program, "--config", str(config), "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1, result.stdout + result.stderr


def test_the_compose_file_follows_the_compose_specification():
    """Checked against the specification's JSON schema, since no engine runs here."""
    result = run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))
    assert result.returncode == 0, result.stdout


def test_the_compose_file_publishes_on_loopback_only_and_pins_no_deprecated_image():
    """Temporal's open-source frontend has no authentication; auto-setup is deprecated."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("auto-setup" in service.get("image", "") for service in services.values())


def test_every_command_of_the_compose_file_is_one_of_ours():
    """Our own containers start: their commands and options exist."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ours = {name: service for name, service in services.items() if "build" in service}
    assert set(ours) == {"migrate", "schedules", "worker", "web"}
    for name, service in ours.items():
        words = [word for word in service["command"] if re.fullmatch(r"[a-z]+", word)]
        result = subprocess.run(
            [sys.executable, ROOT / "cli.py", *words, "--help"],
            capture_output=True,
            text=True,
            env={"COLUMNS": "200", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"},
        )
        assert result.returncode == 0, f"{name}: {result.stderr}"
        for option in (word for word in service["command"] if word.startswith("--")):
            assert option in result.stdout, f"{name}: {option}"


def test_every_search_attribute_is_registered_by_the_deployment_script():
    """An unregistered attribute would make workflow tasks retry for ever."""
    script = (ROOT / "deploy" / "temporal" / "namespace.sh").read_text()
    kinds = {"KEYWORD": "Keyword", "INT": "Int", "DOUBLE": "Double", "DATETIME": "Datetime"}
    for key in ALL:
        assert f"{key.name}:{kinds[key.indexed_value_type.name]}" in script


def test_env_example_lists_every_setting_and_no_other():
    """What a user can set is in .env.example, by its real name."""
    listed = set(re.findall(r"^(MINTKEEPER_[A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert listed == {f"MINTKEEPER_{name.upper()}" for name in Settings.model_fields}


def test_the_lock_is_pinned_by_hash_and_names_no_index():
    """Every requirement has hashes; no host of an index stands in the lock."""
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][^\s=]*==\S+", lock, re.M)
    assert len(pins) > 60
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert "--index-url" not in lock


def test_python_is_new_enough_for_the_project():
    """pyproject's lower bound is what the tests run on or older."""
    assert sys.version_info >= (3, 11)
