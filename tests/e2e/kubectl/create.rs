//! create with each of its generators, run, expose, autoscale.

use crate::support::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_generator_makes_its_object() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell
        .ok("kubectl create ns tour && kubectl config set-context --current --namespace=tour")
        .await;
    for (arguments, created) in GENERATORS {
        shell.says(&format!("kubectl {arguments}"), created).await;
    }
    for dry in ["client", "server"] {
        let line = format!("kubectl create cm dry --dry-run={dry} -o name");
        shell.says(&line, "configmap/dry").await;
    }
    shell.fails("kubectl get cm dry", "not found").await;
    let all = shell.ok("kubectl get all -o name").await;
    let expected = [
        "pod/pod",
        "service/ci",
        "service/np",
        "service/lb",
        "service/en",
        "service/web",
        "deployment.apps/web",
        "cronjob.batch/cj",
        "job.batch/j",
        "job.batch/j2",
        "horizontalpodautoscaler.autoscaling/web",
    ];
    for name in expected {
        assert!(all.lines().any(|line| line == name), "{name} is not in\n{all}");
    }
    shell.stop().await;
}

const GENERATORS: &[(&str, &str)] = &[
    ("create deployment web --image=nginx --replicas=3 --port=80", "deployment.apps/web created"),
    ("create service clusterip ci --tcp=80:8080", "service/ci created"),
    ("create service nodeport np --tcp=80:8080", "service/np created"),
    ("create service loadbalancer lb --tcp=80:8080", "service/lb created"),
    ("create service externalname en --external-name=x.example.com", "service/en created"),
    ("create configmap cm --from-literal=a=b", "configmap/cm created"),
    ("create secret generic sec --from-literal=p=w", "secret/sec created"),
    (
        "create secret docker-registry reg --docker-username=a --docker-password=b",
        "secret/reg created",
    ),
    (
        "create role r --verb=get,list --resource=pods,deployments.apps",
        "role.rbac.authorization.k8s.io/r created",
    ),
    (
        "create rolebinding rb --role=r --serviceaccount=tour:sa",
        "rolebinding.rbac.authorization.k8s.io/rb created",
    ),
    (
        "create clusterrole cr --verb=get --resource=nodes",
        "clusterrole.rbac.authorization.k8s.io/cr created",
    ),
    (
        "create clusterrolebinding crb --clusterrole=cr --user=jane",
        "clusterrolebinding.rbac.authorization.k8s.io/crb created",
    ),
    ("create quota q --hard=pods=10", "resourcequota/q created"),
    ("create pdb p --selector=app=web --min-available=1", "poddisruptionbudget.policy/p created"),
    (
        "create cronjob cj --image=busybox --schedule='*/5 * * * *' -- date",
        "cronjob.batch/cj created",
    ),
    ("create job j --image=busybox -- date", "job.batch/j created"),
    ("create job j2 --from=cronjob/cj", "job.batch/j2 created"),
    (
        "create ingress ing --rule='foo.com/bar*=web:80,tls=t' --class=nginx",
        "ingress.networking.k8s.io/ing created",
    ),
    (
        "create priorityclass pc --value=100 --description=d",
        "priorityclass.scheduling.k8s.io/pc created",
    ),
    ("create sa sa", "serviceaccount/sa created"),
    ("expose deployment web --port=8080 --target-port=80", "service/web exposed"),
    (
        "autoscale deployment web --min=1 --max=5",
        "horizontalpodautoscaler.autoscaling/web autoscaled",
    ),
    ("run pod --image=nginx --labels=app=web", "pod/pod created"),
];
