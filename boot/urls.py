"""All URLs of the Django side: the API, its description, login, and the admin."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

docs = SpectacularSwaggerSplitView.as_view(
    url_name="schema",
    template_name="portal/docs.html",
    # OPTIONS is 405: DRF would describe the page in JSON, with the renderer of the page.
    metadata_class=None,
)

urlpatterns = [
    path("", include("portal.urls")),
    path("", RedirectView.as_view(pattern_name="docs"), name="home"),
    path("schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", docs, name="docs"),
    path("login", LoginView.as_view(template_name="portal/login.html"), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
]

handler400 = "portal.views.errors.bad_request"
handler403 = "portal.views.errors.permission_denied"
handler404 = "portal.views.errors.not_found"
handler500 = "portal.views.errors.server_error"
