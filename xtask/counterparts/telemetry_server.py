"""Takes telemetry as a collector would, and reads Prometheus's text format.

Nothing of it is ours but the glue: `opentelemetry-proto` decodes what comes as
OTLP, `prometheus_client` parses what `/metrics` says. Prints one line of JSON
with its URL once it listens, then serves until standard input closes.

POST /NAME/v1/traces, /NAME/v1/metrics  takes OTLP, kept under NAME
GET  /NAME                              returns what came under NAME
POST /parse                             returns the samples of a text
"""

import collections
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

RECEIVED = collections.defaultdict(lambda: {"spans": [], "metrics": [], "text": ""})
LOCK = threading.Lock()


def value_of(value):
    """Returns an attribute's value as plain JSON."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes_of(attributes):
    return {pair.key: value_of(pair.value) for pair in attributes}


def take_traces(name, body):
    request = ExportTraceServiceRequest.FromString(body)
    with LOCK:
        RECEIVED[name]["text"] += str(MessageToDict(request))
        for of_resource in request.resource_spans:
            resource = attributes_of(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    RECEIVED[name]["spans"].append(
                        {
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "name": span.name,
                            "kind": span.kind,
                            "nanoseconds": span.end_time_unix_nano
                            - span.start_time_unix_nano,
                            "error": span.status.code == 2,
                            "attributes": attributes_of(span.attributes),
                            "service": resource.get("service.name"),
                        }
                    )


def take_metrics(name, body):
    request = ExportMetricsServiceRequest.FromString(body)
    with LOCK:
        RECEIVED[name]["text"] += str(MessageToDict(request))
        for of_resource in request.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    RECEIVED[name]["metrics"].append(metric.name)


def parse(body):
    """Returns every sample of a text, with the type of its family."""
    samples = []
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            samples.append(
                {
                    "name": sample.name,
                    "labels": sample.labels,
                    "value": sample.value,
                    "type": family.type,
                }
            )
    return samples


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self.path.strip("/").split("/")
        if parts == ["parse"]:
            self.answer(200, parse(body))
        elif parts[1:] == ["v1", "traces"]:
            take_traces(parts[0], body)
            self.answer(200, {})
        elif parts[1:] == ["v1", "metrics"]:
            take_metrics(parts[0], body)
            self.answer(200, {})
        else:
            self.answer(404, {})

    def do_GET(self):
        with LOCK:
            self.answer(200, RECEIVED[self.path.strip("/")])

    def log_message(self, *_):
        pass


def end_with_input():
    """Ends the process when standard input closes."""
    sys.stdin.read()
    os._exit(0)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=end_with_input, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    print(json.dumps({"base_url": address}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
