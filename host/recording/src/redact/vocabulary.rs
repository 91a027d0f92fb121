//! Words that Kubernetes itself writes in messages. They reveal nothing.
//!
//! Words that are likely names of users' programs (app, web, api, proxy, cache, worker, main) are left out
//! even if Kubernetes writes them occasionally.

/// Returns all words, in lower case.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    [ENGLISH, OBJECTS, STATES, REASONS, ERRORS].into_iter().flat_map(str::split_ascii_whitespace)
}

/// Returns `true` if a word is in a list, given as text like all lists in this module.
pub(super) fn is_listed(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// The words of any English sentence.
const ENGLISH: &str = "
a about above across after again all allowed already also although an and and/or any anymore
approximately are aren as at average be because been before begin being below between both but by
byte bytes can cannot could couldn day days did didn do does doesn don done down due during each
either else enough every exactly few first following for found from further get gib greater had
has hasn have haven hour hours how however if immediate in including incoming instead into is isn
it its itself just last least less like longer lower-case made many max maximal maximum may maybe
mib milliseconds min minimal minimum minute minutes more most much must near need needed needs new
next no non-root none nor not now of off older on once one only or other out over own per percent
possible pre-existing previous rather read-only read-write s same second seconds several should
shouldn similar since so some soon still such t than that the their them then there therefore
these they this those through till time times to together too two under unless until up upon
upper-case use used uses using value values very via was wasn were weren when where which while
who why will with within without won would yet you your
";

/// Subjects of messages: kinds, and parts of them.
const OBJECTS: &str = "
account accounts address addresses affinity affinity/selector annotation annotations anti-affinity
apiserver apiversion argument arguments attachment attachvolume.attach attempt attempts
availability backoff balance binding body boot bound budget capacity cgroup cgroups claim claims
cleanup client clock cluster clusters cni code command component components condition conditions
config configmap configmaps configuration connection container containerd containers context
control controller controllers cpu cpus credentials cri cronjob cronjobs customresource
customresourcedefinition customresourcedefinitions customresources daemon daemons daemonset
daemonsets deadline default deletion dependents deployment deployments desc descriptor device
devices directories directory disk disks dns docker domain domains driver drivers endpoint
endpoints endpointslice endpointslices entry eof ephemeral ephemeral-storage error errors event
events eviction evictions exec exit expectation expected failure failures feature field fields
file files filesystem finalizer finalizers format garbage gate gates generation grace group groups
handler handshake header headers health heartbeat hook hooks host hostport hosts http https
hugepages id ids image imagefs images index indexed indexes init inode inodefs inodes instance
instances interface ip ips job jobs kernel key keys kind kube-apiserver kube-controller-manager
kube-proxy kube-scheduler kubeconfig kubelet kubernetes label labels lease leases level lifecycle
limit limits line linux list liveness load lock log logs lookup machine manager manifest manifests
match member memory message metadata method mode module mount mounts mountvolume.mountdevice
mountvolume.setup mountvolume.waitforattach name named names namespace namespaces netns network
networking networkready node nodefs nodes notfound number object objects oci oom operation
operations option options order os owner ownerreference owners parameter path paths permission
permissions persistent persistentvolume persistentvolumeclaim persistentvolumeclaims
persistentvolumes phase pid pids plugin plugins pod poddisruptionbudget poddisruptionbudgets pods
policies policy pool port ports poststart preemption pressure prestop priority priorityclass probe
probes process processes progress property protocol provisioner pull quantity quota quotas rate
readiness reason reboot record reference references registry replica replicas replicaset
replicasets replication request requests requirement requirements resource resourcequota resources
response result results retries retry revision role rolebinding roles rollback rolling rollout
root route routecontroller rpc rule rules run runc runtime runtimes sandbox scale scheduler
scheduling schema scope secret secrets security selector selectors service serviceaccount
serviceaccounts services session set setup shim signal size skew socket source space spec spread
stage standard start startup stat state stateful statefulset statefulsets status statuscode
statuses storage storageclass storageclasses strategy string subpath subsystem success system tag
taint taints task tcp template termination threshold timeout timer tls token toleration
tolerations toomanyrequests topology total transport type types udp uid uids unit
unmountvolume.teardown update updates url usage user users validation vendor version versions
victim victims volume volumeattachment volumebinding volumemount volumes warning webhook webhooks
zone zones
";

/// Actions and states of the subjects.
const STATES: &str = "
abort aborted accept accepted accepting access accessible acquire acquired act active add added
adding adopt adopted allocatable allocate allocated allocation answer appear applied apply assign
assigned assigning attach attached attaching attempted attempting authorized available back
back-off bad become becomes began bind block blocked cancel canceled cancellation cancelled
cancelling change changed changes changing check checked checking cleaned clear close closed
combined complete completed completely completes completing completion conflict conflicts connect
connected connecting consider constraint constraints contain contains continue controlled cordoned
correct crash crashed crashing create created creates creating current currently deallocate decode
degraded delete deleted deleting denied depend desired detach detached detaching detected
determine determined determining differ different disabled discovered disruption drain drained
draining dropped elected eliminated emptied empty enabled encountered ended ensure ensured evict
evicted evicting exceed exceeded exceeding exceeds exist existing exists exited expect expire
expired extract failed failing fails false fetch finish finished finishing fit forbidden force
forced free freed full generated given gone gracefully growing handle happened healthy help
helpful hit identical ignore ignored inactive incompatible incomplete initial initialize
initialized initializing insufficient intended internal invalid invoked issued kept kill killed
killing known leaving left limited listed located low maintenance manage managed mark marked
marking matched matches matching met miss missed missing modified mounted mounting move moved
negative never normal observed ok old open opened orphaned outdated overlap parse passed paused
pausing pending permitted place placed posted posting preempt preempted preempting prepare present
prevent problem proceed processed processing progressed progressing provided provision provisioned
provisioning pulled pulling pulls put queue re-created reach reachable reached reaches read ready
rebooted received receiving reclaim reconcile reconciled reconciling recover recovered recreate
recreated refused register registered reinitializing rejected rejecting related released releasing
remain remaining remains removal remove removed removing renew replace replaced replacing report
reported reporting requested require required requires rescheduled reserve reserved reset resize
resized resolve resolved respond restart restarted restarting restore resume resumed resuming
retrieve retrying returned returns rolled running satisfied satisfy saw scale-down scale-up scaled
scaling schedulable schedule scheduled seen select selected send sent skip skipped skipping
specified specify stale started starting stay stop stopped stopping store stored succeed succeeded
succeeds successful successfully sufficient suitable support supported suspend suspended
suspending switch sync synced synchronize syncing taken terminate terminated terminating tolerate
tolerated touched transition tried trigger triggered triggering true try trying unable unattached
unavailable unbound uncordoned unexpected unhealthy unknown unmatched unmount unmounted unmounting
unpack unpacking unreachable unready unschedulable unspecified unsuccessful unsupported
untolerated updated updating valid validate verify violate violated wait waited waiting waits
wanted warn working write written wrong
";

/// Reasons, conditions and other words of the API that occur in messages.
const REASONS: &str = "
allfailed always amd64 arm64 backofflimitexceeded besteffort burstable containercannotrun
containercreating containersnotready containersready containerstatusunknown crashloopbackoff
createcontainerconfigerror createcontainererror deadlineexceeded diskpressure errimageneverpull
errimagepull evictionbyevictionapi exceededgraceperiod failedattachvolume failedcreate
failedcreatepodsandbox failedkillpod failedmount failedscheduling failindex failjob guaranteed
hostnetwork imageinspecterror imagepullbackoff insufficientcpu insufficientmemory internalip
invalidimagename kubeletnotready memorypressure minimumreplicasavailable
minimumreplicasunavailable networkpluginnotready networkunavailable newreplicasetavailable
nodeaffinity nodehasdiskpressure nodehasinsufficientmemory nodehasnodiskpressure
nodehassufficientmemory nodehassufficientpid nodelost nodename nodenotready nodenotschedulable
nodeports nodeready noderesourcesfit noderestart nodeschedulable nodeselector nodeshutdown
nodestatusunknown nodeunschedulable noexecute noschedule onfailure oomkilled outofcpu outofmemory
outofpods pidpressure podfailurepolicy podinitializing podreadytostartcontainers podscheduled
podtopologyspread preemptionbyscheduler prefernoschedule progressdeadlineexceeded readwritemany
readwriteonce registryunavailable replicafailure rollingupdate runasnonroot runcontainererror
sandboxchanged schedulinggated starterror terminationbykubelet toomanypods
unexpectedadmissionerror volumerestrictions volumezone waitforfirstconsumer waitforpodscheduled
";

/// Words in errors of container runtimes, the network and the kernel.
const ERRORS: &str = "
abnormal alreadyexists anon-rss authentication authorization badrequest broken certificate corrupt
cpuset dead deadlock dial env executable executed exhausted failedprecondition fatal file-rss
gateway hung i/o info interrupted invalidargument invalidimage io killer lost mismatch nil no-op
nonexistent null oom_score_adj oomkill overloaded panic peer permissiondenied pipe
resourceexhausted segfault shmem-rss starved stderr stdout stuck syscall tasks temporary throttled
throttling timed timedout total-vm unauthenticated unauthorized unimplemented unknownservice
unresponsive x509
";
