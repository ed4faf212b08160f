"""The gateway in one process has the routes of the template."""

from __future__ import annotations

from shiftwork_platform.gateway import ROUTES, GatewayRoute
from tests.template import resources


def test_the_routes_are_those_of_the_template() -> None:
    functions = {
        name: entry["Properties"]["CodeUri"].rstrip("/").rpartition("/")[2]
        for name, entry in resources("AWS::Serverless::Function").items()
    }
    integrations = {
        name: functions[entry["Properties"]["IntegrationUri"]["Fn::GetAtt"].split(".")[0]]
        for name, entry in resources("AWS::ApiGatewayV2::Integration").items()
    }
    found = set()
    for entry in resources("AWS::ApiGatewayV2::Route").values():
        given = entry["Properties"]
        method, _, path = given["RouteKey"].partition(" ")
        target = given["Target"]["Fn::Sub"].removeprefix("integrations/${").rstrip("}")
        is_open = given["AuthorizationType"] == "NONE"
        found.add(GatewayRoute(method, path, integrations[target], is_open))
    assert set(ROUTES) == found
