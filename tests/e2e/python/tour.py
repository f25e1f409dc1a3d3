"""The Python client against an API server: dynamic client, watches, leader election, patches.

Run with KUBECONFIG set; exits with 1 and says why if anything is not as it should be.
"""

import datetime
import threading
import uuid

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

try:
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
except ImportError:
    LeaseLock = None

GROUP = "py.example.com"


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def refused(code, call):
    try:
        call()
    except ApiException as error:
        check(error.status == code, f"code {error.status}, wanted {code}: {error.body}")
        return error
    raise SystemExit(f"not refused with {code}")


def typed(core):
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="t"), data={"a": "b"})
    created = core.create_namespaced_config_map("default", body)
    check(created.metadata.uid, "a created object has a uid")
    refused(409, lambda: core.create_namespaced_config_map("default", body))
    patched = core.patch_namespaced_config_map("t", "default", {"data": {"c": "d"}})
    check(patched.data == {"a": "b", "c": "d"}, "a dict is a strategic merge patch")
    patch = [{"op": "remove", "path": "/data/a"}]
    patched = core.patch_namespaced_config_map("t", "default", patch)
    check(patched.data == {"c": "d"}, "a list is a JSON patch")
    created.data = {"x": "y"}
    refused(409, lambda: core.replace_namespaced_config_map("t", "default", created))
    core.delete_namespaced_config_map("t", "default")
    error = refused(404, lambda: core.read_namespaced_config_map("t", "default"))
    check("NotFound" in error.body, "the body of an error is a Status")


def watched(core):
    """Watches, is cut off, and goes on from where it was."""
    listed = core.list_namespaced_config_map("kube-public")
    version = listed.metadata.resource_version
    seen = []
    for name in ("w1", "w2"):
        metadata = client.V1ObjectMeta(name=name, labels={"w": "yes"})
        core.create_namespaced_config_map("kube-public", client.V1ConfigMap(metadata=metadata))
    stream = watch.Watch()
    events = stream.stream(
        core.list_namespaced_config_map,
        "kube-public",
        resource_version=version,
        label_selector="w=yes",
        timeout_seconds=20,
    )
    for event in events:
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            stream.stop()
    check(seen == [("ADDED", "w1"), ("ADDED", "w2")], f"events {seen}")
    version = stream.resource_version
    core.patch_namespaced_config_map("w1", "kube-public", {"metadata": {"labels": {"w": "no"}}})
    core.delete_namespaced_config_map("w2", "kube-public")
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_config_map,
        "kube-public",
        resource_version=version,
        label_selector="w=yes",
        timeout_seconds=20,
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 4:
            stream.stop()
    check(
        seen[2:] == [("DELETED", "w1"), ("DELETED", "w2")],
        f"leaving the selector is a deletion, and nothing was lost: {seen}",
    )


def definition():
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {"size": {"type": "integer", "minimum": 1}},
                                },
                                "status": {
                                    "type": "object",
                                    "x-kubernetes-preserve-unknown-fields": True,
                                },
                            },
                        }
                    },
                }
            ],
        },
    }


def established(api):
    extensions = client.ApiextensionsV1Api(api)
    extensions.create_custom_resource_definition(definition())
    stream = watch.Watch()
    for event in stream.stream(
        extensions.list_custom_resource_definition,
        field_selector=f"metadata.name=gadgets.{GROUP}",
        timeout_seconds=20,
    ):
        conditions = event["object"].status.conditions or []
        if any(it.type == "Established" and it.status == "True" for it in conditions):
            stream.stop()


def dynamically(api):
    established(api)
    cluster = dynamic.DynamicClient(api)
    gadgets = cluster.resources.get(api_version=f"{GROUP}/v1", kind="Gadget")
    body = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gadget",
        "metadata": {"name": "g"},
        "spec": {"size": 1},
    }
    gadgets.create(body=body, namespace="default")
    applied = gadgets.server_side_apply(
        body=dict(body, spec={"size": 2}), namespace="default", field_manager="py", force_conflicts=True
    )
    check(applied.spec.size == 2, "a forced apply wins")
    managers = [it.manager for it in applied.metadata.managedFields]
    check("py" in managers, f"managers {managers}")
    conflict = dict(body, spec={"size": 3})
    refused(
        409,
        lambda: gadgets.server_side_apply(
            body=conflict, namespace="default", field_manager="other"
        ),
    )
    merge = {"spec": {"size": 5}}
    patched = gadgets.patch(
        name="g", body=merge, namespace="default", content_type="application/merge-patch+json"
    )
    check(patched.spec.size == 5, "a merge patch changes it")
    error = refused(
        422,
        lambda: gadgets.patch(
            name="g",
            body={"spec": {"size": 0}},
            namespace="default",
            content_type="application/merge-patch+json",
        ),
    )
    check("should be greater than or equal to 1" in str(error.body), str(error.body))
    status = {"status": {"phase": "Ready"}}
    gadgets.status.patch(
        name="g", body=status, namespace="default", content_type="application/merge-patch+json"
    )
    check(gadgets.get(name="g", namespace="default").status.phase == "Ready", "status is written")
    types = []
    for event in gadgets.watch(namespace="default", timeout=20):
        types.append(event["type"])
        if types == ["ADDED"]:
            gadgets.delete(name="g", namespace="default")
        else:
            break
    check(types == ["ADDED", "DELETED"], f"events {types}")
    maps = cluster.resources.get(api_version="v1", kind="ConfigMap")
    check(maps.get(namespace="default").items is not None, "built-in kinds are found, too")


def elected(core):
    """One of two candidates leads."""
    lock_of = LeaseLock or ConfigMapLock
    led = threading.Event()
    done = threading.Event()

    def lead():
        led.set()
        done.wait(30)

    candidate = electionconfig.Config(
        lock_of("election", "default", f"candidate-{uuid.uuid4()}"),
        lease_duration=4,
        renew_deadline=3,
        retry_period=1,
        onstarted_leading=lead,
        onstopped_leading=None,
    )
    election = leaderelection.LeaderElection(candidate)
    threading.Thread(target=election.run, daemon=True).start()
    check(led.wait(20), "a candidate leads")
    if LeaseLock is None:
        held = core.read_namespaced_config_map("election", "default").metadata.annotations
        check(held, "the lock is held")
    else:
        lease = client.CoordinationV1Api().read_namespaced_lease("election", "default")
        check(lease.spec.holder_identity, "the lease is held")
        now = datetime.datetime.now(datetime.timezone.utc)
        check(abs(now - lease.spec.renew_time) < datetime.timedelta(minutes=1), "renewed just now")
    done.set()


def main():
    config.load_kube_config()
    api = client.ApiClient()
    core = client.CoreV1Api(api)
    version = client.VersionApi(api).get_code()
    check(version.major == "1", f"version {version}")
    typed(core)
    watched(core)
    dynamically(api)
    elected(core)
    print("all is well")


main()
