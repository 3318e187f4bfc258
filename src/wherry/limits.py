"""Every bound, in one file. A name ends in its unit; the comment says where a value comes from.

AWS: the value is that of the service the resource becomes there, so that what runs here runs there.
"""

import os

KIB = 1024
MIB = 1024 * KIB

SETTINGS: list[str] = []  # the variables by which an operator chooses another bound
WRONG_SETTINGS: list[str] = []  # what is wrong with those that are set; the default holds then


def _chosen(variable: str, default: int, unit: str, most: int, least: int = 1) -> int:
    SETTINGS.append(variable)
    text = os.environ.get(variable)
    if text is None:
        return default
    found = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    if not least <= found <= most:
        bounds = f"a whole number of {unit} from {least:,} to {most:,}"
        WRONG_SETTINGS.append(f"{variable}={text!r} is not {bounds}; its default is {default:,}.")
        return default
    return found


# --- HTTP, at the gateway -------------------------------------------------------------------
REQUEST_BODY_BYTES = 6 * MIB  # AWS Lambda: payload of a synchronous invocation
REPLY_BODY_BYTES = 6 * MIB  # AWS Lambda
HEADER_BYTES = 10_240  # AWS HTTP API: request line and headers together
HEADER_COUNT = 100
HEADERS_TIMEOUT_S = 5.0  # from the first byte of a request (or the connection) to its last header
BODY_TIMEOUT_S = 20.0  # without a body that is streamed to storage
BODY_RATE_BYTES_PER_S = 8 * KIB  # a streamed body slower than this is cut off
REQUEST_BODIES_BYTES = 256 * MIB  # all bodies held in memory at once; beyond: 503
CHUNK_LINE_BYTES = 256  # the size of a chunk and its extensions
RATE_WINDOW_S = 5.0  # a stream's rate is judged over this, in and out
WRITE_BUFFER_BYTES = 64 * KIB  # unsent bytes of a connection before its next request waits
LINGER_S = 2.0  # after a refusal what still comes is thrown away, so that the answer arrives
CONNECTION_SWEEP_S = 0.25  # how late a connection's deadline may be noticed
IDLE_CONNECTION_S = 75.0  # kept alive without a request: longer than AWS ALB keeps it (60 s)
CONNECTIONS = 10_000
ROUTE_TIMEOUT_S = 25  # the 30 s of AWS HTTP API minus 5 s, so that the function's error arrives
ROUTES = 300  # AWS HTTP API
DRAIN_TIMEOUT_S = 30.0
LEAVE_S = 3.0  # beside other engines: /readyz says that we stop, so long before we take no more
LEAVE_MAX_S = 30.0
FIRST_REQUEST_S = 1.0  # at a stop, of a connection that has just been made
THROTTLE_RATE_PER_S = 10_000  # AWS API Gateway account
THROTTLE_BURST = 5_000
THROTTLE_CLIENTS = 50_000  # token buckets kept, least recently used dropped
CORS_MAX_AGE_S = 86_400  # AWS HTTP API
JSON_DEPTH = 100  # arrays and objects within each other, in a body or a message
FAULTS = 100  # of one request that are listed
FORM_FIELDS = 1_000  # of a query or an urlencoded form

# --- Functions ------------------------------------------------------------------------------
FUNCTION_TIMEOUT_S = 30
FUNCTION_TIMEOUT_MAX_S = 900  # AWS Lambda
MEMORY_MB = 256
MEMORY_MIN_MB = 128  # AWS Lambda
MEMORY_MAX_MB = 10_240  # AWS Lambda
CONCURRENCY = 32  # environments of one function on one machine
CONCURRENCY_MAX = 1_000  # AWS Lambda: an account's default
NAME_LENGTH = 63  # of functions and resources: AWS takes at least this everywhere
IDLE_ENVIRONMENT_S = 60.0
FREE_MEMORY_MB = 256  # left to the machine: no environment is started into it
GROW_AFTER_S = 0.004  # work that waited this long may get another environment
ZYGOTE_RETRY_MAX_S = 1.0  # between two starts of a zygote that keeps ending
FAILED_STARTS = 3  # in a row: then what waits for such an environment fails
GROW_EXPECTED_S = 0.03  # ... beyond the first few, where this long for others that compute
QUICK_ENVIRONMENTS = 4  # the first few, which even quick runs get
ASKING_ENVIRONMENTS = 12  # ... if most of them ask the store: in the meantime they compute nothing
QUICK_RUN_S = 0.02  # a run that takes less by itself lacks processors, not time
QUICK_OWN_S = 0.002  # a run that takes less by itself counts as taking no time at all
SPARE_ENVIRONMENTS = 2  # beyond one a processor, for runs that compute
AVERAGE_SHARE = 0.1  # of the newest run in a moving average of runs
LAG_S = 0.05  # messages that are due and wait longer than this hold quick requests back
ENVIRONMENT_FILES = 1_024  # AWS Lambda
ENVIRONMENT_PROCESSES = 1_024  # AWS Lambda: threads and processes
DATA_HEADROOM_MB = 256  # RLIMIT_DATA above memory and a quarter: thread stacks count in full there
MEMORY_SAMPLE_S = 0.2  # how often the memory of environments is looked at
IMPORT_S = 50.0  # an app that is still being imported then is given up; a reload waits for that
FORK_TRIAL_S = 2.0  # one fork on trial, to learn whether a library's threads survive it
GROUP_SWEEP_S = 1.0  # killed processes have this long to leave their control group
AWAKE_S = 0.25  # after the last run that was seen to begin, processors may sleep
AWAKE_LOOK_S = 0.05  # how often it is looked whether runs begin
AWAKE_PROCESSORS = 8  # on a larger machine most of them would wait awake for nothing
APART_RUN_S = 0.004  # while no run takes longer, the engine and its store have a processor each
APART_AGAIN_S = 1.0  # after one did, or much was to be done, the kernel decides for so long
RECEIVE_BYTES = 64 * KIB  # at once from a socket; from 128 KiB on malloc maps and unmaps pages
MAIL_BYTES = 4 * KIB  # an invocation that can wait in front of an environment; larger: it cannot
MAILS = 16  # invocations that wait there at once
LINE_S = 0.004  # ... as far as they wait no longer than that
RECALL_S = 0.005  # a run that takes longer: what waits behind it is taken back
FRAME_BYTES = 16 * MIB  # one message between the engine and an environment
PENDING_INVOCATIONS = 1_000  # waiting for an environment, per function; beyond: 503

# --- The control socket -----------------------------------------------------------------------
CONTROL_REQUEST_BYTES = MIB  # a message that is edited and redriven, and its envelope
CONTROL_CONNECTIONS = 16
CONTROL_READ_S = 5.0  # for a whole request, and for taking the answer
CONTROL_ANSWER_S = 60.0  # a reload imports the app

# --- One commit (DynamoDB sets these; the same everywhere) ------------------------------------
COMMIT_EFFECTS = 90  # AWS TransactWriteItems takes 100; guards count; the rest is for the record
COMMIT_BYTES = 3_500_000  # AWS TransactWriteItems: 4 MB
OUTSIDE_BYTES = MIB  # what outside() keeps for the re-runs of one attempt
COMMIT_SLOW_S = 0.001  # where a commit takes longer, others wait to share its sync
COMMIT_ALONG_S = 0.02  # a job's commit waits so long for a request's: slow disks sync in less
COMMIT_LOOK_S = 0.001  # between two looks whether requests still come
PATIENT_FROM = 8  # events in hand that make an engine busy
SYNC_SLOW_S = 0.001  # where the store's commits take longer, it goes on while they are synced
SYNC_SHARE = 0.03  # of the newest in its average: a disk that stalls now and then is not slow
SYNC_HANGS_S = 0.5  # while a sync takes longer, the disk may hang: not even reads are answered
COMMIT_TRIES = 10  # of what one attempt came to, while the store says no; then the attempt is over
COMMIT_AGAIN_S = 0.2  # the wait after the first of them; it doubles
COMMIT_AGAIN_MAX_S = 5.0  # the longest wait between two: all in all half a minute
CONFLICT_RERUNS = 5  # of a run as a rule, which its time bounds; of a named step at most
CONFLICT_SOLO_AFTER = 2  # re-runs lost before they queue per key

# --- Tables -----------------------------------------------------------------------------------
ITEM_BYTES = 400_000  # AWS DynamoDB: 400 KB
PARTITION_KEY_BYTES = 2_048  # AWS DynamoDB
SORT_KEY_BYTES = 1_024  # AWS DynamoDB
INDEXES = 20  # AWS DynamoDB: global secondary indexes of a table
QUERY_LIMIT = 100  # items of a page unless told otherwise
QUERY_LIMIT_MAX = 1_000
QUERY_BYTES = 1_000_000  # AWS DynamoDB: 1 MB a page
REINDEX_BATCH = 500  # items per step of a migration

# --- Queues -----------------------------------------------------------------------------------
MESSAGE_ID_LENGTH = 255
MESSAGE_BYTES = 350_000  # below AWS SQS's 1 MiB and DynamoDB's 400 KB outbox item
MAX_ATTEMPTS = 3
MAX_ATTEMPTS_MAX = 1_000  # AWS SQS
RETRY_BASE_S = 1.0
RETRY_MAX_S = 300.0
RETRY_DELAY_MAX_S = 43_200.0  # AWS SQS: the longest visibility timeout
LEASE_S = 12.0  # a node that died has its messages taken over within 15 s: this, and a poll
ASK_TIMEOUT_S = 10.0  # a thread that asks the store waits at most so long
STORE_SILENT_S = 4.0  # a store that answers nothing for so long makes the engine not ready
LEASE_RENEW_S = 4.0
POLL_S = 5.0  # hints wake a consumer at once; this is how long it sleeps without one
HELD_PER_ENVIRONMENT = 4  # messages leased at once for each environment of a consumer
HELD_AHEAD_S = 0.01  # ... or as many as are done in that time, up to CLAIM_BATCH
CLAIM_BATCH = 64
UNDECLARED_COUNTED = 1_000  # items, messages of what no release declares; beyond, "or more"
HELD_COUNTED = 10_000  # messages of a queue that wait behind others; beyond, "so many or more"
BLOCKED_SHOWN = 10  # groups of a queue that wait for a failure, by name
CLAIMED_BYTES = 8 * MIB  # bodies that one claim hands out; an answer is one frame
REDRIVE_BASE_S = 5.0  # what failed again after a redrive waits so long at its next; it doubles
REDRIVE_MAX_S = 900.0
REDRIVE_BATCH = 500  # messages that jobs give back in one step of the store
REDRIVE_RATE_MAX_PER_S = 1_000
MESSAGE_RETENTION_S = 4 * 86_400  # AWS SQS default
MESSAGE_RETENTION_MIN_S = 60  # AWS SQS
MESSAGE_RETENTION_MAX_S = 14 * 86_400  # AWS SQS
DELAY_MAX_S = 366 * 86_400
CLOCK_BACK_MS = 1_000  # a wall clock that goes back by more was set; less is how clocks are kept
CLOCK_NOTED_MS = 60_000  # between two notes of how late it is, for a store that starts again
DEDUP_S = 300  # AWS SQS: FIFO deduplication interval
GROUP_LENGTH = 128  # AWS SQS: characters of a message group ID and of a deduplication ID
BATCH_MAX = 1_000  # messages that a consumer is handed at once
BATCH_BYTES = 6 * MIB  # AWS Lambda: payload of an invocation
BATCHES_HELD_BYTES = 64 * MIB  # of one consumer, leased at once
BATCH_WINDOW_MAX_S = 300  # AWS Lambda: batching window of an event source
ONCE_S = 86_400  # what a consumer has done under a key is known so long unless told otherwise
ONCE_MAX_S = 366 * 86_400
CLAIM_BYTES = 32 * MIB  # a payload that travels as an object is read into memory whole
REFERENCE_BYTES = 4 * KIB  # what stands for it in the message
PATH_ATTEMPTS = 1_000  # that one request can cause on a path; beyond, `wherry check` warns
PATHS_LISTED = 10_000  # of an app; branches that meet again can double their number each time
PATH_STEPS_SHOWN = 200  # of one entry, then what was shown before is not shown again

# --- The store on Postgres --------------------------------------------------------------------
POSTGRES_CONNECTIONS = 16  # of one engine, besides one for renewals and one that listens
POSTGRES_CONNECT_S = 5.0  # to make a connection; hosts of one address share it evenly
POSTGRES_WAIT_S = 5.0  # for a connection that is free; beyond: 503
POSTGRES_RETRY_S = 8.0  # while the database is away: then who asks is told, within ASK_TIMEOUT_S
POSTGRES_ANSWER_S = 12.0  # a network that is cut: beyond, a request is given up with its connection
POSTGRES_LOCK_S = 10.0  # for what another transaction holds; beyond: 503, and nothing is done
POSTGRES_IDLE_S = 2.0  # of a transaction whose engine says nothing: its rows are let go, also
# where several of its wait for one another, before others give up at POSTGRES_LOCK_S
POSTGRES_REQUESTS = 2_000  # of one engine under way at once; beyond: 503
POSTGRES_PROBE_S = 1.0  # between two looks whether the database answers
POLL_SHARED_S = 1.0  # as POLL_S, where other engines may die: their leases end unseen
NODE_LEASE_S = 60.0  # an engine that died keeps its number so long
POSTGRES_TRIES = 5  # after a deadlock or a serialization failure
CLAIM_SLOW_US = 2_000  # a search of a whole queue that takes longer is made more seldom,
CLAIM_SLOW_FACTOR = 50  # so that it takes at most one part in so many of the time;
CLAIM_SLOW_LEAST = 20  # in so many where that would be more seldom than POLL_S
CLAIM_LEAVES_S = 3.0  # where a poll has looked so lately, the next one makes it, and no claim
GROUP_FLOOR_S = 3_600  # where a group's messages begin is forgotten then, and found out again

# --- Events -----------------------------------------------------------------------------------
EVENT_NAME_LENGTH = 128  # AWS EventBridge: detail-type
EVENT_VERSION_MAX = 10_000
EVENT_BYTES = 250_000  # AWS EventBridge: 256 KB an entry, with its envelope
SPREAD_BYTES = 64 * MIB  # what the events of one commit send to their listeners, together
SPREAD_MESSAGES = 10_000  # some 0.1 s of the store

# --- Schemas ----------------------------------------------------------------------------------
SCHEMA_EXAMPLES = 100  # of one form of a type
SCHEMA_FILE_BYTES = 4 * MIB  # of a type with all its forms

# --- Schedules --------------------------------------------------------------------------------
SCHEDULE_EXPRESSION_LENGTH = 256  # AWS EventBridge Scheduler
SCHEDULE_RATE_MAX_S = 3_660 * 86_400  # ten years: longer is a slip
SCHEDULE_WINDOW_MAX_S = 86_400  # AWS EventBridge Scheduler: 1,440 minutes
SCHEDULE_LATE_S = 60  # AWS EventBridge Scheduler: its precision; later than that is missed
SCHEDULE_MISSED_MAX = 1_000  # missed firings that are made up for at once
SCHEDULE_SKIPPED_COUNTED = 100  # beyond, "so many or more": each costs a step of the calendar
FIRE_BATCH = 500  # schedules that are looked at in one step of the store
FIRE_S = 0.02  # ... or for so long: others wait meanwhile
SCHEDULE_INVALID_S = 3_600  # until one whose time zone cannot be read is looked at again
SCHEDULE_REPEAT_S = 10_800  # set back by more, cron fires again (cron(8) of Vixie: three hours)
SCHEDULES_COMPILED = 4_096  # expressions held as read

# --- Event patterns ---------------------------------------------------------------------------
PATTERN_LENGTH = 2_048  # AWS EventBridge: default quota of characters (4,096 on request)
PATTERN_COMBINATIONS = 1_000  # AWS EventBridge: the product of the lengths of all $or lists
PATTERN_WILDCARD_COMPLEXITY = 10  # AWS says no number: its example of "too complex" has 11 here
PATTERNS_COMPILED = 4_096  # patterns held as compiled
PATTERN_STEPS = 500_000  # of one event and pattern, through arrays of objects; beyond: no match

# --- Buckets ----------------------------------------------------------------------------------
OBJECT_KEY_BYTES = 1_024  # AWS S3
OBJECT_BYTES = 5 * 1024 * MIB  # AWS S3: one PUT
OBJECT_METADATA_BYTES = 2_048  # AWS S3
MEDIA_TYPE_LENGTH = 255  # RFC 6838: 127 for the type, 127 for the subtype
LIST_LIMIT = 1_000  # AWS S3
PRESIGN_S = 900
PRESIGN_MAX_S = 7 * 86_400  # AWS S3, Signature Version 4
PRESIGN_SKEW_S = 900  # AWS S3: how far ahead of ours the signer's clock may be
STAGING_S = 3_600  # a staged object without a commit is swept after this
ORPHANS_EVERY_S = 3_600.0  # how often such are looked for
ORPHANS_FIRST_S = 60.0  # after the start
BLOB_PIECE_BYTES = 256 * KIB  # of an object's content held in memory at once
# of objects that lie in S3, on the data folder's disk
OBJECT_CACHE_BYTES = _chosen("WHERRY_OBJECT_CACHE_BYTES", 2048 * MIB, "bytes", 1 << 62, 0)
OBJECT_CACHE_FRESH_S = 30.0  # what came or was read so lately stays, however much it is
S3_CONNECT_S = 3.0  # also the longest that one piece of a request's body may take
S3_READ_S = 10.0  # without a byte of an answer
S3_ATTEMPTS = 3  # of one call, with pauses that botocore chooses (standard mode)
S3_CALL_S = 12.0  # no attempt begins later: a route hears of it in its time. Content adds to it:
S3_RATE_BYTES_PER_S = 256 * KIB  # slower than this it is given up
S3_PART_BYTES = 16 * MIB  # more is sent in parts (AWS S3: 5 MiB or more, at most 10,000)
S3_THREADS = 8  # that speak with S3; each holds one part
S3_PROBE_S = 5.0  # S3 is asked whether it answers when nothing else was asked for so long
S3_SILENT_S = 10.0  # without a good answer the engine is not ready, and asks for nothing more
S3_UNDELETED = 10_000  # blobs that could not be deleted and are remembered for the next sweep
BLOB_ID_LENGTH_MIN = 16  # hexadecimal digits
BLOB_ID_LENGTH_MAX = 128

# --- Secrets and tokens -----------------------------------------------------------------------
SECRET_BYTES = 65_536  # AWS Secrets Manager
TOKEN_BYTES = 8_192
TOKEN_LEEWAY_S = 60
NUMERIC_DATE_MAX_S = 253_402_300_799  # the year 9999
TOKEN_CACHE = 10_000  # verified tokens remembered until they expire
JWKS_BYTES = 150_000  # AWS HTTP API
JWKS_TIMEOUT_S = 1.5  # AWS HTTP API
JWKS_KEPT_S = 7_200  # AWS HTTP API
JWKS_REFRESH_S = 60  # an unknown key ID fetches at most this often
JWKS_RETRY_S = 2  # as long as there is no key at all (the issuer may still be starting)
ACCESS_TOKEN_S = 3_600  # AWS Cognito default
REFRESH_TOKEN_S = 30 * 86_400  # AWS Cognito default
PASSWORD_MIN = 8  # NIST SP 800-63B
PASSWORD_MAX_BYTES = 256
LOGIN_FAILURES = 100  # NIST SP 800-63B: consecutive, per account
LOGIN_FREE_FAILURES = 5  # typing errors: no delay yet
LOGIN_DELAY_S = 1  # after the next failure; doubles with each one more
LOGIN_DELAY_MAX_S = 900
LOGIN_CLOSED_S = 86_400  # after LOGIN_FAILURES: one attempt in this time
LOGIN_FORGOTTEN_S = 2 * 86_400  # failures this old no longer count
DEVICE_S = 180 * 86_400  # a device where somebody logged in is known for this long
ACCESS_TOKEN_MAX_S = 86_400  # AWS Cognito
USERNAME_LENGTH = 128  # AWS Cognito
PASSWORD_SLOTS = 2
PASSWORD_QUEUE = 16
PASSWORD_MEMORY_KIB = 19 * 1024  # OWASP: argon2id m=19 MiB t=2 p=1
PASSWORD_PASSES = 2
KEY_ID_LENGTH = 256
RSA_MIN_BITS = 2_048  # NIST SP 800-131A
RSA_MAX_BITS = 8_192  # a larger key costs milliseconds per token
SUBJECT_LENGTH = 255  # OpenID Connect Core 1.0, section 2

# --- State machines (AWS Step Functions; what it does not tell was measured there by others) ----
STATE_DATA_BYTES = 262_144  # AWS: a state's input, output or result, an item of a map
STATE_EVENTS = 25_000  # AWS: of one execution's history; the last one ends it
STATE_DEFINITION_BYTES = 1_048_576  # AWS
STATE_NAME_LENGTH = 80  # AWS
STATE_LABEL_LENGTH = 40  # AWS: of a Map's Label
EXECUTION_NAME_LENGTH = 80  # AWS
STATE_TOKEN_LENGTH = 2_048  # AWS
STATE_ERROR_LENGTH = 256  # AWS
STATE_CAUSE_LENGTH = 32_768  # AWS
STATE_SECONDS_MAX = 99_999_999  # AWS: Wait and TimeoutSeconds
STATE_DELAY_MAX_S = 31_622_400  # AWS: MaxDelaySeconds, 366 days
STATE_RETRIES_MAX = 99_999_999  # AWS: MaxAttempts
STATE_INLINE_BRANCHES = 40  # AWS: iterations of an inline map at once
STATE_CHILDREN = 1_000  # child executions of a distributed map at once (AWS: 10,000)
STATE_STANDARD_S = 31_536_000  # AWS: the longest standard execution, a year
STATE_EXPRESS_S = 300  # AWS: the longest express execution
STATE_STEPS = 1_000  # states that one call of `advance` passes before it pauses
STATE_INTRINSIC_LENGTH = 10_000  # AWS: characters for Base64Encode, Base64Decode and Hash
STATE_RANGE_LENGTH = 1_000  # AWS: elements of States.ArrayRange
STATE_INTRINSIC_DEPTH = 10  # AWS: intrinsic functions within each other
EXECUTIONS_HELD = 1_000  # in an engine's memory: those that moved last
EXECUTIONS_HELD_BYTES = 64 * MIB
DEFINITIONS_HELD = 200
HAPPENINGS_HELD = 256  # messages of one workflow that an engine leases at once
HAPPENINGS_AT_ONCE = 64  # of one execution, in one commit
BEGINNINGS = 64  # executions of one commit whose first step goes with it ...
BEGINNINGS_BYTES = MIB  # ... and what those steps may take; others begin by a message
WAKE_BATCH = 500  # executions that one question wakes
STATE_EXPRESSION_DEPTH = 100  # AWS: evaluations of JSONata within each other
STATE_EXPRESSION_STEPS = 250_000  # evaluations of one JSONata expression
STATE_EXPRESSION_BYTES = 6_990_256  # AWS: of one value of JSONata, 8 a number, 1 a character
STATE_EXPRESSION_TOTAL_BYTES = 256 * MIB  # of all values of one JSONata expression
STATE_EXPRESSION_RANGE = 360_145  # AWS: elements of $range
STATE_REGEX_S = 1.0  # matching of one regular expression
STATE_VARIABLES_BYTES = 10 * MIB  # AWS: of all variables of one execution
STATE_ADVANCE_S = 5.0  # one step of a machine that uses JSONata, in its worker process
STATE_WORKER_BYTES = 1_024 * MIB  # memory of that process
EXPRESSION_PROCESSES = 2  # of one engine; one more for definitions that have overrun
EXPRESSION_OVERRUNS_HELD = 1_000  # such definitions; beyond, the first is forgotten
STATE_REDRIVE_S = 1_209_600  # AWS: how long after its end an execution can be redriven, 14 days
STATE_MAP_REDRIVES = 1_000  # AWS: of one map run
STATE_ITEMS = 100_000_000  # AWS: MaxItems of an ItemReader
STATE_RESULT_FILE_BYTES = 64 * MIB  # of one file of a ResultWriter (AWS: 5 GB)
STATE_READER_BYTES = 256 * MIB  # of one object that an ItemReader reads, unpacked (AWS: 10 GB)
STATE_ITEM_DEPTH = 32  # AWS: of an item of DynamoDB, and of an expression
STATE_ITEM_EXPRESSION = 4_096  # AWS: characters of an expression of DynamoDB

# --- What is kept, and for how long -----------------------------------------------------------


KEPT_MOST_S = 3_650 * 86_400
IDEMPOTENCY_S = _chosen("WHERRY_IDEMPOTENCY_S", 86_400, "seconds", KEPT_MOST_S)
RECORDS_S = _chosen("WHERRY_RECORDS_S", 7 * 86_400, "seconds", KEPT_MOST_S)
# AWS SQS: the longest retention of a dead-letter queue
FAILURES_S = _chosen("WHERRY_FAILURES_S", 14 * 86_400, "seconds", KEPT_MOST_S)
APPLIED_S = FAILURES_S + 16 * 86_400  # steps that were done: outlives message and inbox
# AWS: what has ended, with its history
EXECUTIONS_S = _chosen("WHERRY_EXECUTIONS_S", 90 * 86_400, "seconds", KEPT_MOST_S)
AUDIT_S = 400 * 86_400  # who redrove, edited or discarded what
RELEASES_KEPT = 10
RELEASES_SERVED = 2  # the newest, and the one before, which runs on while machines take turns
SWEEP_BATCH = 500
LOG_FILE_BYTES = 64 * MIB
LOG_FILES = 8
TERMINAL_BYTES = 4 * MIB  # of log lines that wait for who reads standard output; beyond: dropped
LOG_LINE_BYTES = 64 * KIB
REFUSALS_LOGGED = 100  # requests refused at the edge within one second that are lines of the log
CORRELATION_ID_LENGTH = 128
IDEMPOTENCY_KEY_LENGTH = 255
