"""Every model, column, status, event type, constraint and index is described; every rule of a service too."""

import ast
import importlib
import pkgutil

import pytest
from django.apps import apps
from django.contrib import admin

import portal.services
from tests.docs.pages import backticked, named, page_names, read, rows, section

MODELS = list(apps.get_app_config("portal").get_models())
SERVICES = [found.name for found in pkgutil.iter_modules(portal.services.__path__, "portal.services.")]


def name(thing):
    """Return the name of a test's parameter."""
    return getattr(thing, "__name__", str(thing))


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_the_columns_of_a_model_are_those_of_its_table(model):
    described = [named(row[0]) for row in rows(section(read("aikb/models.md"), model.__name__))]
    assert sorted(described) == sorted(field.name for field in model._meta.concrete_fields)


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_every_column_says_what_it_means(model):
    assert all(row[1] for row in rows(section(read("aikb/models.md"), model.__name__)))


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_every_choice_is_described(model):
    words = set(backticked(section(read("aikb/models.md"), model.__name__)))
    choices = {value for field in model._meta.concrete_fields for value, _ in field.choices or ()}
    assert choices <= words


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_every_constraint_and_index_is_named(model):
    words = set(backticked(section(read("aikb/models.md"), model.__name__)))
    assert {made.name for made in (*model._meta.constraints, *model._meta.indexes)} <= words


@pytest.mark.parametrize("service", SERVICES)
def test_the_public_names_of_a_service_are_those_of_its_table(service):
    module = importlib.import_module(service)
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}
    cells = " ".join(row[0] for row in rows(section(read("aikb/services.md"), f"`{service}`")))
    assert {text.removesuffix("()") for text in backticked(cells)} == public


def test_every_model_of_the_admin_has_its_row_with_its_actions():
    table = {named(row[0]): row[3] for row in rows(read("aikb/admin.md"))}
    ours = {model: page for model, page in admin.site._registry.items() if model in MODELS}
    assert set(table) == {model.__name__ for model in ours} == {model.__name__ for model in MODELS}
    for model, page in ours.items():
        assert set(backticked(table[model.__name__])) == set(page.actions), model


def test_every_page_of_the_knowledge_base_stands_in_its_list():
    listed = {row[0].split("](")[1].rstrip(")") for row in rows(read("aikb/README.md"))}
    pages = {page.removeprefix("aikb/") for page in page_names() if page.startswith("aikb/")}
    assert listed == pages - {"README.md"}
