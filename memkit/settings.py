"""The base of every provider's settings: arguments win over environment variables, those over defaults."""

from __future__ import annotations

import os
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from .errors import ConfigurationError, did_you_mean

__all__ = ["ProviderSettings", "SecretStr", "env"]


def env(variable: str, default: Any = None, **kwargs: Any) -> Any:
    """Declare a field that is read from an environment variable where it is not given.

    An empty variable counts as unset. Further arguments go to `pydantic.Field`.
    """
    return Field(default, json_schema_extra={"env": variable}, **kwargs)


class ProviderSettings(BaseModel):
    """Settings that cannot change, do not take unknown keys, and keep secrets out of texts.

    Raises:
        ConfigurationError: An unknown key (with the nearest one), or a value that does not fit.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
        validate_default=False,
        defer_build=True,
    )

    provider_name: ClassVar[str | None] = None
    """The registered name of the provider these settings are for."""

    def __init__(self, **data: Any) -> None:
        cls = type(self)
        _refuse_unknown(cls, data)
        try:
            super().__init__(**{**_from_environment(cls, data), **data})
        except ValidationError as error:
            raise ConfigurationError(_explain(cls, error)) from None

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Return the environment variable of each field that has one."""
        found: dict[str, str] = {}
        for name, field in cls.model_fields.items():
            extra = cast("dict[str, object] | None", field.json_schema_extra)
            if extra and isinstance(variable := extra.get("env"), str):
                found[name] = variable
        return found


def _refuse_unknown(cls: type[ProviderSettings], data: dict[str, Any]) -> None:
    known = sorted(cls.model_fields)
    for key in data:
        if key not in cls.model_fields:
            raise ConfigurationError(
                f"Unknown key {key!r} for {_title(cls)}."
                f"{did_you_mean(key, known)} Known: {', '.join(known)}.",
                key=key,
                known=known,
            )


def _from_environment(cls: type[ProviderSettings], given: dict[str, Any]) -> dict[str, str]:
    return {
        name: value
        for name, variable in cls.variables().items()
        if name not in given and (value := os.environ.get(variable))
    }


def _explain(cls: type[ProviderSettings], error: ValidationError) -> str:
    """Say what is wrong without the values, of which some are secrets."""
    variables = cls.variables()
    problems: list[str] = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in cast("tuple[object, ...]", problem["loc"]))
        variable = variables.get(path.partition(".")[0])
        problems.append(
            f"`{path}`" + (f" (or `{variable}`)" if variable else "") + f": {problem['msg'].rstrip('.')}"
        )
    return f"{_title(cls)} cannot be used: {'; '.join(problems)}."


def _title(cls: type[ProviderSettings]) -> str:
    return f"the settings of {cls.provider_name!r}" if cls.provider_name else cls.__qualname__
