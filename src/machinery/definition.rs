//! What the engine needs to know of a resource: names, schema, columns, subresources, strategy.

use std::sync::Arc;

use serde_json::Value;

use super::selector::LabelSelector;
use super::status::Cause;

/// One resource in one version, built in or from a CustomResourceDefinition.
#[derive(Clone, Debug)]
pub struct ResourceDefinition {
    /// API group, `""` for core.
    pub group: Arc<str>,
    /// Version, e.g. `v1beta2`.
    pub version: Arc<str>,
    /// Kind, e.g. `Machine`.
    pub kind: Arc<str>,
    /// Kind of lists, e.g. `MachineList`.
    pub list_kind: Arc<str>,
    /// Plural name, as in paths.
    pub plural: Arc<str>,
    /// Singular name.
    pub singular: Arc<str>,
    /// kubectl short names.
    pub short_names: Vec<Arc<str>>,
    /// Categories such as `all` or `cluster-api`.
    pub categories: Vec<Arc<str>>,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Where objects of the kind come from; decides strategic merge, list item shape, conventions.
    pub origin: Origin,
    /// Structural schema.
    pub schema: super::schema::Schema,
    /// Columns of server-side Tables, without `Name`, which always comes first.
    pub columns: Vec<Column>,
    /// Subresources that are served.
    pub subresources: Subresources,
    /// Extra field selectors beyond `metadata.name` and `metadata.namespace`: dotted paths.
    pub selectable_fields: Vec<Arc<str>>,
    /// Defaulting, validation and conversion beyond the schema.
    pub strategy: Strategy,
    /// How this version is served and stored beside the resource's others.
    pub serving: Serving,
}

/// How one version of a resource is served and stored beside its others.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Whether there are paths for it. A version that is not served is kept to read what was
    /// stored in it, or to store in.
    pub served: bool,
    /// Whether objects are stored in this version; of versions that all say no, in the first.
    pub stored: bool,
    /// Whether the resource is about to go: objects can be deleted, but not written.
    pub terminating: bool,
    /// What every answer warns of, if the version is deprecated.
    pub deprecation: Option<Arc<str>>,
    /// How objects of the other versions become objects of this one.
    pub conversion: Conversion,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            served: true,
            stored: false,
            terminating: false,
            deprecation: None,
            conversion: Conversion::None,
        }
    }
}

/// How a resource's objects are converted between its versions, unless its [`Strategy`] can.
#[derive(Clone, Debug, Default)]
pub enum Conversion {
    /// Only apiVersion changes.
    #[default]
    None,
    /// Somebody else does it.
    Webhook(Arc<WebhookConversion>),
}

/// `spec.conversion.webhook` of a CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookConversion {
    /// Name of the CustomResourceDefinition.
    pub definition: Arc<str>,
    /// Versions of ConversionReview that it understands, the best first.
    pub review_versions: Vec<Arc<str>>,
    /// `apiextensions.k8s.io/v1` WebhookClientConfig: where it is.
    pub client_config: Value,
}

/// Built in or custom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Kubernetes kind: strategic merge works, list items carry no kind.
    BuiltIn,
    /// Defined by a CustomResourceDefinition (Cluster API's kinds are, too).
    Custom,
}

/// Subresources of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subresources {
    /// `status` is a subresource.
    pub status: bool,
    /// `scale` is a subresource, with these paths.
    pub scale: Option<ScalePaths>,
}

/// Where the scale subresource finds its numbers, as dotted paths without a leading dot.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalePaths {
    /// Desired replicas, e.g. `spec.replicas`.
    pub spec_replicas: Arc<str>,
    /// Observed replicas, e.g. `status.replicas`.
    pub status_replicas: Arc<str>,
    /// Label selector in string form, e.g. `status.selector`.
    pub label_selector: Option<Arc<str>>,
}

/// A column of a server-side Table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Header.
    pub name: Arc<str>,
    /// OpenAPI type: `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: Arc<str>,
    /// OpenAPI format, may be empty.
    pub format: Arc<str>,
    /// Description, may be empty.
    pub description: Arc<str>,
    /// 0 shows always, more only with `-o wide`.
    pub priority: i32,
    /// How a cell is computed.
    pub cell: Cell,
}

/// How a Table cell is computed.
#[derive(Clone, Debug)]
pub enum Cell {
    /// kubectl's JSONPath, as CRDs give it (`.status.phase`, `.metadata.creationTimestamp`).
    JsonPath(Arc<str>),
    /// A built-in kind's own printer, by name (see `machinery::table`).
    Printer(fn(&Value, now_seconds: i64) -> Value),
}

/// Sets defaults in the first object; the second one is the old object, `None` on create.
pub type DefaultObject = fn(&mut Value, Option<&Value>);

/// Checks the first object; the second one is the old object, `None` on create.
pub type ValidateObject = fn(&Value, Option<&Value>) -> Vec<Cause>;

/// Checks a Scale against the object that it scales. The error is the whole message of the refusal.
pub type ValidateScale = fn(scale: &Value, object: &Value) -> Result<(), String>;

/// Makes an object of the first version one of the second, apiVersion included. What the second
/// version cannot say is for the kind to keep (Cluster API does in an annotation). The error is a
/// text for people.
pub type ConvertObject = fn(&mut Value, from: &str, to: &str) -> Result<(), String>;

/// Other objects, for rules that look at them: in the version in which they are stored.
pub trait Objects {
    /// An object by its kind, namespace and name.
    fn get(&self, kind: ObjectKind<'_>, namespace: &str, name: &str) -> Option<Value>;
    /// The objects of a kind that a selector takes, in a namespace or everywhere, by namespace and
    /// name.
    fn list(&self, kind: ObjectKind<'_>, within: Option<&str>, with: &LabelSelector) -> Vec<Value>;
}

/// A kind without its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectKind<'a> {
    /// API group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
}

/// What rules that look at other objects say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Why the object is refused.
    pub causes: Vec<Cause>,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
}

/// Fills in what depends on other objects; causes refuse the write.
pub type DefaultAmong = fn(&mut Value, Option<&Value>, &dyn Objects) -> Vec<Cause>;

/// Checks an object among others; the second object is the old one, `None` on create.
pub type ValidateAmong = fn(&Value, Option<&Value>, &dyn Objects) -> Verdict;

/// Why an object cannot be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionRefusal {
    /// Name of the webhook that says so upstream.
    pub webhook: &'static str,
    /// What it says.
    pub why: String,
}

/// A kind of which the rules of an object want to see changes before they run.
pub type AwaitKind = fn(&Value, &dyn Objects) -> Option<ObjectKind<'static>>;

/// Why an object cannot be deleted, if so.
pub type RefuseDeletion = fn(&Value, &dyn Objects) -> Option<DeletionRefusal>;

/// Rules of a kind that look at other objects. They run for writes of whole objects, not of
/// subresources, and what they see may change before the write is done, as with webhooks.
#[derive(Debug, Default)]
pub struct Among {
    /// Kind of an object that the rules want to see settled before they run: as long as the
    /// function answers with it, a write waits for changes of that kind, for a short time.
    pub awaits: Option<AwaitKind>,
    /// Runs after [`Strategy::default`].
    pub default: Option<DefaultAmong>,
    /// Runs with [`Strategy::validate`].
    pub validate: Option<ValidateAmong>,
    /// Runs before an object is marked or removed.
    pub delete: Option<RefuseDeletion>,
}

/// What a kind does beyond its schema. Plain functions, so that a definition stays data. Defaults
/// and rules are those of upstream's webhooks, which are registered for the objects and not for
/// their subresources.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strategy {
    /// Sets defaults that depend on other fields.
    pub default: Option<DefaultObject>,
    /// Checks rules beyond the schema; an empty vector accepts.
    pub validate: Option<ValidateObject>,
    /// Runs instead of `default` where a write is a dry run.
    pub default_dry_run: Option<DefaultObject>,
    /// Runs instead of `validate` where a write is a dry run.
    pub validate_dry_run: Option<ValidateObject>,
    /// Checks a Scale before it is written into an object.
    pub validate_scale: Option<ValidateScale>,
    /// Converts between any two versions of the kind; all its versions carry the same function.
    pub convert: Option<ConvertObject>,
    /// Rules that look at other objects.
    pub among: Option<&'static Among>,
}

impl Strategy {
    /// What sets defaults in a write.
    pub fn defaulting(&self, is_dry_run: bool) -> Option<DefaultObject> {
        self.default_dry_run.filter(|_| is_dry_run).or(self.default)
    }

    /// What checks the object of a write.
    pub fn validation(&self, is_dry_run: bool) -> Option<ValidateObject> {
        self.validate_dry_run.filter(|_| is_dry_run).or(self.validate)
    }
}
