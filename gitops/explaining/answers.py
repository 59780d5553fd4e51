"""What each reason means for what comes next: who has to act, what to do, and what follows by itself. Pure.

The set is closed: a test holds it against the reference of reasons and against the code. Rows are as short as on an
incident's screen; the reference has the long form.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gitops.explaining.explanation import Who


@dataclass(frozen=True)
class Answer:
    """What to expect of a reason.

    Args:
        who: who has to act before it goes on.
        do: what that person does, as an imperative; where it goes on by itself, what may help. Empty for nothing.
        then: what happens by itself; empty where the step at hand says it.
        look: a command that shows more about the cause.
    """

    who: Who
    do: str = ""
    then: str = ""
    look: str = ""


Row = tuple[str, Answer]

_WORKER, _CONTROL = "launchpin logs training", "launchpin logs control"
_ROOM, _FORGE = "launchpin gc --dry-run", "launchpin logs forge"
_LOG_IT = "log the metric that the gate asks for as a finite number, and push"
_FILES = "mend the file at the place that the message names, and push"
_LOOK = "find the cause, and push a better version"

_TRAININGS: tuple[Row, ...] = (
    ("GateRefused", Answer(Who.AUTHOR, "push a better model, or change the gate in launchpin.yaml")),
    ("Inconclusive MetricMissing MetricNotFinite MetricNotANumber", Answer(Who.AUTHOR, _LOG_IT)),
    ("ChampionMetricMissing ChampionMetricUnusable", Answer(Who.AUTHOR, "compare a metric that the champion has, too")),
    ("ThresholdUnusable", Answer(Who.AUTHOR, "write a number as the gate's threshold, and push")),
    ("GatePassed NoGates NoChampion", Answer(Who.NOBODY)),
    ("NoModel", Answer(Who.AUTHOR, "call log_model(...) in the script, and push")),
    ("Searching", Answer(Who.ITSELF, then="the best of its trials is judged once all of them are over")),
    ("NoTrialSucceeded", Answer(Who.AUTHOR, "mend what its trials failed of, and push", look="launchpin trials")),
    ("parameter_unknown", Answer(Who.AUTHOR, "search over a parameter that the MLproject has, and push")),
    ("AmbiguousModel", Answer(Who.AUTHOR, "set register.objective or register.model in launchpin.yaml, and push")),
    ("ObjectiveMissing", Answer(Who.AUTHOR, "log the objective's metric in a run that holds a model, and push")),
    ("TooManyRuns", Answer(Who.AUTHOR, "let the script make fewer runs, and push")),
    ("EmptyModel", Answer(Who.AUTHOR, "log a model that holds files, and push")),
    (
        "model_too_large unsafe_path not_regular_file FolderExists",
        Answer(Who.AUTHOR, "log a model of plain files within the limit that the message names, and push"),
    ),
    ("NoMLproject", Answer(Who.AUTHOR, "write an MLproject where train.project says, and push")),
    ("ConfigMissing", Answer(Who.AUTHOR, "push a commit that holds the launchpin.yaml")),
    ("NoEnvironment", Answer(Who.AUTHOR, "add a requirements.txt, and push")),
    ("EnvironmentUnresolvable", Answer(Who.AUTHOR, "mend the requirements as the resolver says, and push")),
    ("lock_too_large", Answer(Who.AUTHOR, "ask for fewer packages, and push")),
    ("SecretNotGranted", Answer(Who.OPERATOR, "grant the secret with `launchpin add DIR --secret NAME`; then push")),
    ("RegistryRefused", Answer(Who.OPERATOR, "mend what MLflow complains of; then push")),
    ("NotInRegistry", Answer(Who.ITSELF, "see whether the version is still in MLflow")),
    ("TrainingFailed Exited", Answer(Who.AUTHOR, "mend the script, and push")),
    ("TrainingTimedOut", Answer(Who.AUTHOR, "make it faster or raise train.timeout, and push")),
    (
        "OutOfMemory",
        Answer(Who.AUTHOR, "let it use less memory, or have LAUNCHPIN_TRAINING_MEMORY raised; then push"),
    ),
    (
        "TooManyProcesses TooManyTasks",
        Answer(Who.AUTHOR, "let it start fewer processes, or have LAUNCHPIN_TRAINING_TASKS raised; then push"),
    ),
    ("ExperimentMismatch", Answer(Who.AUTHOR, "leave set_experiment out of the script, and push")),
    (
        "WorkerLost",
        Answer(Who.OPERATOR, "find out why its workers died, of too little memory say", look=_WORKER),
    ),
    ("HandedBack", Answer(Who.ITSELF, then="another worker trains it anew")),
    ("Cancelled", Answer(Who.NOBODY)),
    ("DiskLow", Answer(Who.OPERATOR, "make room on the disk", "it goes on when there is room", _ROOM)),
    (
        "NoInterpreter",
        Answer(Who.OPERATOR, "install the Python version that it names", look="launchpin doctor"),
    ),
    (
        "LockMissing",
        Answer(Who.OPERATOR, "copy the lock that it names from the machine that trained, or train the commit anew"),
    ),
    (
        "EnvironmentMismatch",
        Answer(Who.OPERATOR, "let a machine like the one that it names do this, or train the commit on one like this"),
    ),
    (
        "SecretMissing UnknownSecret",
        Answer(Who.OPERATOR, "put the secret's value into `secrets/granted`, and restart the stack"),
    ),
    (
        "RepositoryMissing DeployRepositoryMissing",
        Answer(Who.OPERATOR, "connect the repository with `launchpin add DIR`"),
    ),
    ("ExperimentDeleted", Answer(Who.OPERATOR, "restore the experiment in MLflow")),
    ("ArtifactsNotProxied", Answer(Who.OPERATOR, "start the MLflow server with --serve-artifacts")),
    (
        "commit_unknown commit_unreachable repo_too_large repo_malformed symlink_config path_unsafe name_not_canonical",
        Answer(Who.AUTHOR, "push a commit without what the message names"),
    ),
    ("url_scheme repository_unknown", Answer(Who.OPERATOR, "connect the repository anew, where we may read it")),
    ("checkout_exists NoCheckout NoTrial TrainingMissing", Answer(Who.ITSELF)),
)

_PROMOTIONS: tuple[Row, ...] = (
    ("AwaitingMerge", Answer(Who.MERGER, "merge the pull request, or close it")),
    ("ChecksPending", Answer(Who.ITSELF, then="Launchpin merges it when its checks have passed, and it rolls out")),
    ("ChecksRed", Answer(Who.MERGER, "mend the red checks, or merge or close it by hand")),
    ("NotMergeable", Answer(Who.MERGER, "make it mergeable, as the forge says, or close it")),
    ("Paused", Answer(Who.OPERATOR, "`launchpin resume --all`, when what it was set for is settled", "it goes on")),
    ("Held", Answer(Who.OPERATOR, "lift the hold when what it was set for is settled", "it goes on")),
    ("Merged Planned", Answer(Who.ITSELF)),
    ("BranchEdited", Answer(Who.MERGER, "merge or close the pull request; without one, merge or delete the branch")),
    ("BranchMoved branch_moved branch_protected pull_conflict", Answer(Who.ITSELF)),
    ("BranchMissing", Answer(Who.OWNER, "push the deploy repository's default branch")),
    ("OtherModel", Answer(Who.OWNER, "give each model a directory of its own")),
    ("EnvironmentMissing FileMissing", Answer(Who.OWNER, "push what the message says is missing")),
    ("ConfigInvalid both_spellings", Answer(Who.OWNER, _FILES)),
    ("VersionUnknown", Answer(Who.OWNER, "pin a version that Launchpin has judged")),
    ("TierTooLow", Answer(Who.AUTHOR, "push a better model, or ask for a lower min_tier")),
    ("TierUnknown", Answer(Who.OWNER, "write a tier that the model declares into endpoint.yaml, or declare it")),
    ("AlreadyPinned", Answer(Who.NOBODY)),
    ("PullRequestClosed", Answer(Who.NOBODY, then="that version is not proposed there again; a newer one is")),
    ("Superseded NewerPin NewerRollout", Answer(Who.NOBODY, then="what is newer goes on")),
)

_ROLLOUTS: tuple[Row, ...] = (
    ("Locked", Answer(Who.ITSELF, then="it begins when the other rollout is over")),
    ("pin_refused", Answer(Who.OWNER, "pin a version that may be used")),
    ("digest_mismatch DigestMismatch", Answer(Who.OPERATOR, "find out who changed the files; then train it again")),
    ("PlanChanged", Answer(Who.OWNER, "look at what changed, and push the pin again")),
    ("Starting Baking RollingBack RollingOut PinChanged", Answer(Who.ITSELF)),
    ("SmokeFailed ScorerExited ScorerTimeout ScorerNotStarted ScorerDied StartFailed", Answer(Who.AUTHOR, _LOOK)),
    ("EndpointUnhealthy ConfigurationNotReady NoLiveVersion ScorerRestarting", Answer(Who.AUTHOR, _LOOK)),
    ("EndpointMissing EndpointChanged", Answer(Who.OPERATOR, "find out who changed the endpoint beside Launchpin")),
    ("RollbackFailed", Answer(Who.OWNER, "pin a version that starts; then lift the hold")),
    ("RolledBack", Answer(Who.OWNER, "pin it anew or push a better one; then lift the hold")),
    ("ByHand", Answer(Who.OPERATOR, "lift the hold when what it was set for is settled")),
    ("endpoint_taken", Answer(Who.OWNER, "write another endpoint in endpoint.yaml, and push")),
    ("RollbackPending", Answer(Who.OWNER, "merge the pull request that sets the pin back, or pin what serves")),
    ("Creating Updating InService Ready Stopped Failed", Answer(Who.ITSELF)),
)

_OUTSIDE: tuple[Row, ...] = (
    ("Retrying", Answer(Who.ITSELF)),
    ("GaveUp", Answer(Who.OPERATOR, "read what it raised in the worker's log; then push or pin again", look=_CONTROL)),
    ("StepUnknown SchemaMismatch", Answer(Who.OPERATOR, "run one release of Launchpin everywhere, the newest one")),
    ("Unwritable unstorable", Answer(Who.OPERATOR, "look for what was too large or odd to be written")),
    ("StaleEpoch Comparing Polling Anchoring Collecting AnchorMoved", Answer(Who.ITSELF)),
    ("DatabaseBusy DatabaseUnavailable", Answer(Who.ITSELF, "see what keeps the database busy, or bring it back")),
    ("Stopping Conflict EffectMissing record_kind", Answer(Who.ITSELF)),
    (
        "ForgeUnavailable ForgeBadReply",
        Answer(Who.ITSELF, "see why the forge does not answer", look=_FORGE),
    ),
    ("ForgeRateLimited", Answer(Who.ITSELF)),
    ("ForgeCredentials", Answer(Who.OPERATOR, "give Launchpin a token that the forge takes")),
    ("ForgeUnsupported", Answer(Who.OPERATOR, "use a forge that has what the message names")),
    ("RepositoryMoved", Answer(Who.OPERATOR, "connect the repository under its new address with `launchpin add DIR`")),
    (
        "forge_refused forge_conflict not_found bad_path bad_repository",
        Answer(Who.OPERATOR, "mend what the forge complains of"),
    ),
    ("MirrorBusy MirrorBroken", Answer(Who.ITSELF)),
    ("RegistryUnavailable", Answer(Who.ITSELF, "see why MLflow does not answer", look="launchpin logs mlflow")),
    ("RegistryConflict", Answer(Who.ITSELF)),
    (
        "RegistryForbidden",
        Answer(Who.OPERATOR, "set the MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, that it takes"),
    ),
    (
        "EndpointHostUnavailable EndpointHostAnswer EndpointHostStopping StateNotSaved",
        Answer(Who.ITSELF, "see why the endpoint host does not answer", look="launchpin logs endpoints"),
    ),
    ("EndpointHostToken EndpointHostRefused", Answer(Who.OPERATOR, "mend what the endpoint host complains of")),
    (
        (
            "configuration_differs configuration_in_use configuration_failed other_endpoint no_endpoint "
            "no_configuration no_interpreter invalid_name invalid_request"
        ),
        Answer(Who.OPERATOR, "mend what the endpoint host complains of"),
    ),
    ("EnvironmentBusy EnvironmentTimeout", Answer(Who.ITSELF)),
    ("IndexUnavailable", Answer(Who.ITSELF, "see why the package index does not answer")),
    (
        "AuditFork AuditForked AuditNodeMissing audit_entry audit_note audit_signature audit_key audit_time",
        Answer(Who.OPERATOR, "leave the log as it is, and verify it: `launchpin audit verify`"),
    ),
    ("NotLeading SignerBusy", Answer(Who.ITSELF)),
    (
        "HookLost",
        Answer(Who.OPERATOR, "see the repository's webhook and its last deliveries at the forge", "pushes are polled"),
    ),
    ("Sending Routing Repeated NobodyTold NotifyExpired", Answer(Who.ITSELF)),
    ("NotifyUnavailable", Answer(Who.ITSELF, "see why the channel does not answer: `launchpin notify test`")),
    (
        "NotifyRefused NotifyBlocked ChannelGone NotifyFileInvalid secret_invalid",
        Answer(Who.OPERATOR, "mend notify.yaml or the channel, and try it: `launchpin notify test`"),
    ),
)

_VERBS: tuple[Row, ...] = (
    ("Training", Answer(Who.ITSELF, then="it is over when the training is")),
    ("Proposing", Answer(Who.ITSELF, then="it is over when the pull request is open")),
    ("AlreadyOver NothingToRetry", Answer(Who.ASKER, "train the branch's head once more: `launchpin train`")),
    (
        "BranchNotWatched ConfigUnclear UnknownRepository UnknownBranch UnknownTraining UnknownPerson UnknownToken",
        Answer(Who.ASKER, "ask again with a name that the message gives"),
    ),
    (
        (
            "ArgumentMissing ArgumentUnknown ArgumentInvalid ArgumentsUnclear login subject provider token_name filter "
            "OwnFolder"
        ),
        Answer(Who.ASKER, "follow the message, and ask again"),
    ),
    ("NoGrant PersonDisabled LoginTaken", Answer(Who.OPERATOR, "say who may do what: `launchpin people`")),
    ("RepositoryUnclear", Answer(Who.OPERATOR, "connect the renamed repository again: `launchpin add`")),
    ("NotAsSeen", Answer(Who.ASKER, "look at the endpoint, and ask anew")),
    ("NeverServed", Answer(Who.ASKER, "propose it instead: `launchpin promote`")),
    ("AlreadyServing NoPrevious", Answer(Who.ASKER, "name another version with --to")),
    (
        "UnknownVerb UnknownEndpoint UnknownDelivery EndpointUnclear RoleTaken",
        Answer(Who.ASKER, "ask again with a name that the message gives"),
    ),
    ("VersionUnusable", Answer(Who.ASKER, "name a version that passed")),
    ("BodyRemoved", Answer(Who.ASKER, "train the branch's head: `launchpin train`")),
    ("DeliveryRejected", Answer(Who.ASKER, "mend what the message names, and handle it again")),
    (
        "NoSearch UnknownTrial TrialUnusable",
        Answer(Who.ASKER, "name a trial that came to a model", look="launchpin trials"),
    ),
    ("SearchUnderWay", Answer(Who.ASKER, "ask again when the search is over")),
    ("AlreadyRegistered", Answer(Who.ASKER, "propose that version: `launchpin promote`")),
    ("IdempotencyKeyUsed", Answer(Who.ASKER, "ask with a new key")),
    (
        "TimedOut NotUp NotReady TryUnderWay provider_unavailable",
        Answer(Who.ASKER, "look again later: `launchpin status`"),
    ),
    (
        (
            "NoStack stack_dir stack_unreadable AlreadyUp StillUp PartBroken PortTaken PortInUse HomeInUse "
            "NoStore NoBroker NoGit GitTimeout git_failed NoScript ScriptUnclear no_script script_invalid "
            "no_folder NotEmpty no_repository RoleUnclear url_has_secret tracking_uri uri_invalid NoTraining "
            "training_unclear file_unknown file_unreadable project_missing NoPull repository_unclear NotFound "
            "HeadMoved NoToken forge_token BundleExists NoBundle bundle_not_intact NothingRecorded NoHead "
            "NoKey EntriesMissing NothingServed DemoFailed Broken secret_missing insecure_mode broker_url "
            "insecure_broker database_missing database_unsupported secret_in_url database_moved home_unusable "
            "state_unreadable tokens_unreadable endpoint_unclear where_invalid sign_in_setting sign_in_denied "
            "sign_in_token NoRollout lowest_alone name_unknown"
        ),
        Answer(Who.ASKER, "follow the message, and ask again"),
    ),
    ("bad_hint", Answer(Who.NOBODY)),
    ("BrokerAway", Answer(Who.ITSELF, "see why the broker does not answer", look="launchpin logs valkey")),
)

_READING: tuple[Row, ...] = (
    (
        (
            "yaml_alias yaml_character yaml_documents yaml_duplicate_key yaml_empty yaml_encoding yaml_key "
            "yaml_merge yaml_not_finite yaml_number yaml_syntax yaml_tag yaml_too_deep yaml_too_large "
            "unknown_key key_missing wrong_type value_invalid value_unknown limit_exceeded "
            "not_in_this_release pattern_invalid name_invalid name_reserved path_invalid path_twice "
            "champion_twice needs_cycle needs_unknown tier_twice tier_unknown variable_unknown file_twice "
            "command_invalid entry_point_unknown environment_twice parameter_invalid parameter_missing "
            "placeholder_unknown"
        ),
        Answer(Who.AUTHOR, _FILES),
    ),
    (
        "channel_unknown address_invalid address_refused",
        Answer(Who.OPERATOR, "mend notify.yaml where the message says"),
    ),
    (
        (
            "pin_anchor pin_block_scalar pin_expansion pin_incomplete pin_invalid pin_missing pin_not_alone "
            "pin_syntax pin_twice pin_two_on_line pin_unwritable version_invalid"
        ),
        Answer(Who.OWNER, _FILES),
    ),
    ("ping event comment not_a_branch deleted gone fork pull_request branch paths no_config known", Answer(Who.NOBODY)),
    ("config", Answer(Who.AUTHOR, _FILES)),
    (
        "config_unreadable",
        Answer(Who.OPERATOR, "read what it raised in the worker's log, and report it", look=_CONTROL),
    ),
    ("bad_json schema handling_failed", Answer(Who.OPERATOR, "see what the sender sends")),
    ("repo_not_allowed", Answer(Who.OPERATOR, "connect the repository with `launchpin add DIR`")),
)

_PHASES: tuple[Row, ...] = (
    ("Pending Running Progressing", Answer(Who.ITSELF)),
    ("Succeeded Synced Healthy Unpinned", Answer(Who.NOBODY)),
    ("OutOfSync Unknown", Answer(Who.ITSELF, then="the comparison looks again within a minute")),
    ("Refused Errored Degraded", Answer(Who.OPERATOR, "follow the message")),
)


def _by_reason(*tables: Iterable[Row]) -> Mapping[str, Answer]:
    found: dict[str, Answer] = {}
    for words, answer in (row for table in tables for row in table):
        for word in words.split():
            if word in found:
                raise ValueError(f"{word} has two answers")
            found[word] = answer
    return MappingProxyType(found)


ANSWERS = _by_reason(_TRAININGS, _PROMOTIONS, _ROLLOUTS, _OUTSIDE, _VERBS, _READING, _PHASES)
"""The answer to each reason of the closed set."""

_OF_NO_REASON = Answer(Who.ITSELF)
_OF_OTHERS = Answer(Who.OPERATOR, "follow the message: this release has no words of its own for that reason")


def answer_to(reason: str) -> Answer:
    """Return what a reason means; one that a newer release wrote is said to be unknown, never left out."""
    return ANSWERS.get(reason, _OF_OTHERS) if reason else _OF_NO_REASON


def split_reason(reason: str, message: str) -> tuple[str, str]:
    """Return the reason that says most, with its message: one that is tried again names its cause in its message."""
    named, colon, rest = message.partition(": ")
    return (named, rest) if reason == "Retrying" and colon and named in ANSWERS else (reason, message)
