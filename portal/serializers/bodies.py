"""What the bodies of requests share."""

from rest_framework import serializers


class BodyIn(serializers.Serializer):
    """A body of members: one that may be left out may be `null` too, which means the same."""

    def to_internal_value(self, data):
        """Return the checked members, those that are null with their default."""
        members = super().to_internal_value(data)
        return {name: self.fields[name].get_default() if value is None else value for name, value in members.items()}
