"""The routes of the JSON door; those of the byte door are in `portal/transfer/app.py`."""

from django.urls import path

from portal.views import batches, bulk, endpoints, events, files, metrics, presign, service, sessions

urlpatterns = [
    path("batches", batches.BatchList.as_view(), name="batches"),
    path("batches/<uuid:batch_id>", batches.BatchDetail.as_view(), name="batch"),
    path("batches/<uuid:batch_id>/files", batches.BatchFileList.as_view(), name="batch-files"),
    path("batches/<uuid:batch_id>/seal", batches.BatchSeal.as_view(), name="batch-seal"),
    path("batches/<uuid:batch_id>/receipt", batches.BatchReceipt.as_view(), name="batch-receipt"),
    path("batches/<uuid:batch_id>/finalize", bulk.BatchFinalize.as_view(), name="batch-finalize"),
    path("batches/<uuid:batch_id>/events", events.BatchEventList.as_view(), name="batch-events"),
    path("endpoints", endpoints.EndpointList.as_view(), name="endpoints"),
    path("endpoints/<uuid:endpoint_id>", endpoints.EndpointDetail.as_view(), name="endpoint"),
    path("endpoints/<uuid:endpoint_id>/enable", endpoints.EndpointEnable.as_view(), name="endpoint-enable"),
    path("endpoints/<uuid:endpoint_id>/rotate", endpoints.EndpointRotate.as_view(), name="endpoint-rotate"),
    path("events", events.EventList.as_view(), name="events"),
    path("events/<uuid:event_id>", events.EventDetail.as_view(), name="event"),
    path("events/<uuid:event_id>/replay", events.EventReplay.as_view(), name="event-replay"),
    path("schemas/events", events.EventSchemaList.as_view(), name="event-schemas"),
    path("schemas/events/<str:name>.json", events.EventSchema.as_view(), name="event-schema"),
    path("files", files.FileList.as_view(), name="files"),
    path("files/<uuid:file_id>", files.FileDetail.as_view(), name="file"),
    path("uploads/sessions", sessions.SessionList.as_view(), name="sessions"),
    path("uploads/sessions/<uuid:session_id>", sessions.SessionDetail.as_view(), name="session"),
    path("uploads/sessions/<uuid:session_id>/parts", sessions.SessionParts.as_view(), name="session-parts"),
    path("uploads/sessions/<uuid:session_id>/presign", presign.SessionPresign.as_view(), name="session-presign"),
    path(
        "uploads/sessions/<uuid:session_id>/parts/<int:number>/complete",
        presign.PartComplete.as_view(),
        name="part-complete",
    ),
    path(
        "uploads/sessions/<uuid:session_id>/finalize",
        sessions.SessionFinalize.as_view(),
        name="session-finalize",
    ),
    path("limits", service.LimitsView.as_view(), name="limits"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("healthz", service.Healthz.as_view(), name="healthz"),
    path("readyz", service.Readyz.as_view(), name="readyz"),
]
