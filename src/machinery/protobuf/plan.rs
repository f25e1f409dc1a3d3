//! The messages of the table, indexed for writing: members by name, and those of embedded messages
//! as members of what embeds them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::machinery::builtin;
use crate::machinery::tables::messages::{self, FieldShape, FieldType, MessageField, Messages};

/// Messages that no stored kind reaches: objects of which only the metadata are shown, and
/// discovery. (kubernetes 1.36: apimachinery/pkg/apis/meta/v1 and v1beta1, api/apidiscovery/v2)
const FURTHER: &str = "\
%APIGroup
 1 name string+
 2 versions []&%GroupVersionForDiscovery
 3 preferredVersion &%GroupVersionForDiscovery
 4 serverAddressByClientCIDRs []&%ServerAddressByClientCIDR
%APIGroupList
 1 groups []&%APIGroup
%APIResource
 1 name string+
 2 namespaced bool+
 3 kind string+
 4 verbs &%Verbs
 5 shortNames []string
 6 singularName string+
 7 categories []string
 8 group string
 9 version string
 10 storageVersionHash string
%APIResourceList
 1 groupVersion string+
 2 resources []&%APIResource
%APIVersions
 1 versions []string
 2 serverAddressByClientCIDRs []&%ServerAddressByClientCIDR
%GroupVersionForDiscovery
 1 groupVersion string+
 2 version string+
%GroupVersionKind
 1 group string+
 2 version string+
 3 kind string+
%PartialObjectMetadata
 1 metadata &%ObjectMeta+
%PartialObjectMetadataList
 1 metadata &%ListMeta+
 2 items []&%PartialObjectMetadata
%ServerAddressByClientCIDR
 1 clientCIDR string+
 2 serverAddress string+
k8s.io.api.apidiscovery.v2.APIGroupDiscovery
 1 metadata &%ObjectMeta+
 2 versions []&k8s.io.api.apidiscovery.v2.APIVersionDiscovery
k8s.io.api.apidiscovery.v2.APIGroupDiscoveryList
 1 metadata &%ListMeta+
 2 items []&k8s.io.api.apidiscovery.v2.APIGroupDiscovery
k8s.io.api.apidiscovery.v2.APIResourceDiscovery
 1 resource string+
 2 responseKind &%GroupVersionKind
 3 scope string+
 4 singularResource string+
 5 verbs []string
 6 shortNames []string
 7 categories []string
 8 subresources []&k8s.io.api.apidiscovery.v2.APISubresourceDiscovery
k8s.io.api.apidiscovery.v2.APISubresourceDiscovery
 1 subresource string+
 2 responseKind &%GroupVersionKind
 3 acceptedTypes []&%GroupVersionKind
 4 verbs []string
k8s.io.api.apidiscovery.v2.APIVersionDiscovery
 1 version string+
 2 resources []&k8s.io.api.apidiscovery.v2.APIResourceDiscovery
 3 freshness string
k8s.io.apimachinery.pkg.apis.meta.v1beta1.PartialObjectMetadataList
 1 items []&%PartialObjectMetadata
 2 metadata &%ListMeta+";

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    static SHOWN: LazyLock<Messages> = LazyLock::new(|| messages::parse(FURTHER));
    Plan::new(&[builtin::messages(), &SHOWN])
});

/// All messages.
struct Plan {
    places: HashMap<&'static str, usize>,
    messages: Vec<Message>,
}

/// How the JSON of one message is written.
pub(super) struct Message {
    /// By name.
    fields: Box<[(&'static str, Field)]>,
}

/// How a member is written.
pub(super) struct Field {
    pub(super) number: u32,
    /// Numbers of the embedded messages that the field is in, the outermost first.
    pub(super) holders: Box<[u32]>,
    pub(super) shape: FieldShape,
    pub(super) kind: Kind,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    /// An integer or bool.
    Integer,
    Double,
    Message(usize),
    Time,
    Quantity,
    IntOrString,
    /// JSON as it is.
    Raw,
    /// A message with a list of texts.
    Texts,
    SchemaOrArray(usize),
    SchemaOrBool(usize),
    SchemaOrTexts(usize),
}

impl Message {
    /// The message with a full name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        PLAN.places.get(name).map(|place| Self::at(*place))
    }

    /// The message that a [`Kind`] refers to.
    pub(super) fn at(place: usize) -> &'static Self {
        &PLAN.messages[place]
    }

    /// How a member is written; `None` if the message does not have it.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        let place = self.fields.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
        Some(&self.fields[place].1)
    }
}

impl Plan {
    fn new(tables: &[&'static Messages]) -> Self {
        let named: Vec<(&'static str, &'static [MessageField])> = tables
            .iter()
            .flat_map(|table| table.iter())
            .map(|(name, fields)| (name.as_str(), fields.as_slice()))
            .collect();
        let places = named.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
        let fields_of: HashMap<&str, &'static [MessageField]> = named.iter().copied().collect();
        let mut plan = Self { places, messages: Vec::with_capacity(named.len()) };
        for (_, fields) in named {
            let mut members = Vec::with_capacity(fields.len());
            plan.add_members(&fields_of, fields, &mut Vec::new(), &mut members);
            members.sort_by_key(|(name, _)| *name);
            plan.messages.push(Message { fields: members.into() });
        }
        plan
    }

    fn add_members(
        &self,
        fields_of: &HashMap<&str, &'static [MessageField]>,
        fields: &'static [MessageField],
        holders: &mut Vec<u32>,
        members: &mut Vec<(&'static str, Field)>,
    ) {
        for field in fields {
            match &field.value {
                FieldType::Message(name) if &*field.name == "." => {
                    holders.push(field.number);
                    let below = fields_of.get(&**name).copied().unwrap_or_default();
                    self.add_members(fields_of, below, holders, members);
                    holders.pop();
                }
                value => {
                    let Some(kind) = self.kind(value) else { continue };
                    let (name, number, shape) = (&*field.name, field.number, field.shape);
                    let field = Field { number, holders: holders.as_slice().into(), shape, kind };
                    members.push((name, field));
                }
            }
        }
    }

    fn kind(&self, value: &FieldType) -> Option<Kind> {
        let name = match value {
            FieldType::Scalar(kind) => {
                return Some(match &**kind {
                    "string" => Kind::Text,
                    "bytes" => Kind::Bytes,
                    "double" => Kind::Double,
                    _ => Kind::Integer,
                });
            }
            FieldType::Message(name) => &**name,
        };
        let schema = || {
            let package = name.rsplit_once('.').map_or("", |(package, _)| package);
            self.places.get(format!("{package}.JSONSchemaProps").as_str()).copied()
        };
        match name.rsplit('.').next().unwrap_or_default() {
            "Time" | "MicroTime" => Some(Kind::Time),
            "Quantity" => Some(Kind::Quantity),
            "IntOrString" => Some(Kind::IntOrString),
            "FieldsV1" | "JSON" | "RawExtension" => Some(Kind::Raw),
            "Verbs" | "ExtraValue" => Some(Kind::Texts),
            "JSONSchemaPropsOrArray" => schema().map(Kind::SchemaOrArray),
            "JSONSchemaPropsOrBool" => schema().map(Kind::SchemaOrBool),
            "JSONSchemaPropsOrStringArray" => schema().map(Kind::SchemaOrTexts),
            _ => self.places.get(name).copied().map(Kind::Message),
        }
    }
}
