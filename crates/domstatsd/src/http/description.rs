//! Reads what management layers store in the `<metadata>` of a domain's description.

use domstats::is_deceptive;
use quick_xml::{
    NsReader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
    name::ResolveResult,
};

/// The most characters of a value that are kept: names are shorter, and anybody may have written it.
const LONGEST: usize = 256;

/// A management layer, what it stores, and the metric for it.
#[derive(Debug)]
pub(super) struct Layer {
    /// The metric's name; its value is 1.
    pub(super) metric: &'static str,
    pub(super) help: &'static str,
    /// The beginning of its namespaces, which end with a version.
    namespace: &'static str,
    root: &'static str,
    /// Whether the domain's UUID is the instance's.
    pub(super) is_instance: bool,
    labels: &'static [Label],
}

/// A label, and the place of its value below the layer's element: the text of an element, or an attribute.
#[derive(Debug)]
struct Label {
    name: &'static str,
    path: &'static [&'static str],
    attribute: Option<&'static str>,
    /// Whether the layer's metric has it; others are for the metrics of other exporters.
    is_shown: bool,
}

const fn text(name: &'static str, path: &'static [&'static str]) -> Label {
    Label { name, path, attribute: None, is_shown: true }
}

const fn attribute(
    name: &'static str,
    path: &'static [&'static str],
    attribute: &'static str,
) -> Label {
    Label { name, path, attribute: Some(attribute), is_shown: true }
}

/// The layer of OpenStack.
pub(super) const NOVA: &str = "libvirt_domain_openstack_info";

static LAYERS: [Layer; 4] = [
    Layer {
        metric: NOVA,
        help: "What OpenStack Nova knows of the domain.",
        namespace: "http://openstack.org/xmlns/libvirt/nova/",
        root: "instance",
        is_instance: true,
        labels: &[
            text("instance_name", &["name"]),
            attribute("flavor_name", &["flavor"], "name"),
            text("user_name", &["owner", "user"]),
            attribute("user_id", &["owner", "user"], "uuid"),
            text("project_name", &["owner", "project"]),
            attribute("project_id", &["owner", "project"], "uuid"),
            attribute("root_type", &["root"], "type"),
            attribute("root_id", &["root"], "uuid"),
            Label { is_shown: false, ..text("created", &["creationTime"]) },
        ],
    },
    Layer {
        metric: "libvirt_domain_opennebula_info",
        help: "What OpenNebula knows of the domain.",
        namespace: "http://opennebula.org/xmlns/libvirt/",
        root: "vm",
        is_instance: false,
        labels: &[
            text("vm_name", &["name"]),
            text("user_name", &["uname"]),
            text("user_id", &["uid"]),
            text("group_name", &["gname"]),
            text("group_id", &["gid"]),
        ],
    },
    Layer {
        metric: "libvirt_domain_kubevirt_info",
        help: "What KubeVirt knows of the domain.",
        namespace: "http://kubevirt.io",
        root: "kubevirt",
        is_instance: false,
        labels: &[text("vmi_uid", &["uid"])],
    },
    Layer {
        metric: "libvirt_domain_os_info",
        help: "The operating system that the domain was made for, as libosinfo calls it.",
        namespace: "http://libosinfo.org/xmlns/libvirt/domain/",
        root: "libosinfo",
        is_instance: false,
        labels: &[attribute("os", &["os"], "id")],
    },
];

/// The metadata of one layer about a domain.
#[derive(Debug)]
pub(super) struct Metadatum {
    pub(super) layer: &'static Layer,
    labels: Vec<(&'static str, String)>,
}

/// Returns the metadata in a description, up to the first error of its XML.
pub(super) fn read(description: &str) -> Vec<Metadatum> {
    let mut reader = NsReader::from_str(description);
    let mut path: Vec<String> = Vec::new();
    let mut found: Vec<Metadatum> = Vec::new();
    // Whether the element of the last one is open.
    let mut is_inside = false;
    while let Ok((namespace, event)) = reader.read_resolved_event() {
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                path.push(start.local_name().into_inner().to_owned());
                if path.len() == 3 && path[..2] == ["domain", "metadata"] {
                    let layer = layer(&namespace, &path[2]);
                    is_inside = layer.is_some();
                    found.extend(layer.map(|layer| Metadatum { layer, labels: Vec::new() }));
                }
                if let Some(last) = found.last_mut().filter(|_| is_inside) {
                    last.take_attributes(&path[3..], &start);
                }
                if is_empty {
                    path.pop();
                }
            }
            Event::End(_) => {
                path.pop();
                is_inside &= path.len() > 2;
                if path == ["domain"] && !found.is_empty() {
                    break;
                }
            }
            Event::Eof => break,
            text => {
                if let Some(last) = found.last_mut().filter(|_| is_inside) {
                    last.take_text(&path[3..], &text);
                }
            }
        }
    }
    found
}

fn layer(namespace: &ResolveResult<'_>, root: &str) -> Option<&'static Layer> {
    let ResolveResult::Bound(namespace) = namespace else { return None };
    let is = |layer: &&Layer| layer.root == root && namespace.as_ref().starts_with(layer.namespace);
    LAYERS.iter().find(is)
}

impl Metadatum {
    /// Returns the labels of the layer's metric.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let shown = self.layer.labels.iter().filter(|label| label.is_shown);
        self.labels
            .iter()
            .filter(move |(name, _)| shown.clone().any(|label| label.name == *name))
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns a value by its label's name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(its, _)| *its == name);
        found.map(|(_, value)| value.as_str())
    }

    fn take_attributes(&mut self, path: &[String], start: &BytesStart<'_>) {
        for label in self.layer.labels {
            if let Some(name) = label.attribute
                && label.path == path
                && let Ok(Some(attribute)) = start.try_get_attribute(name)
                && let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0)
            {
                self.push(label.name, &value);
            }
        }
    }

    fn take_text(&mut self, path: &[String], event: &Event<'_>) {
        let is = |label: &&Label| label.attribute.is_none() && label.path == path;
        let Some(label) = self.layer.labels.iter().find(is) else { return };
        match event {
            Event::Text(text) => self.push(label.name, text),
            Event::CData(text) => self.push(label.name, text),
            Event::GeneralRef(reference) => {
                let mut bytes = [0; 4];
                let character = reference.resolve_char_ref().ok().flatten();
                let text = character.map(|one| &*one.encode_utf8(&mut bytes));
                let text = text.or_else(|| resolve_predefined_entity(reference));
                self.push(label.name, text.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Adds to the value of a label.
    fn push(&mut self, label: &'static str, text: &str) {
        let place = self.labels.iter().position(|(name, _)| *name == label);
        let place = place.unwrap_or_else(|| {
            self.labels.push((label, String::new()));
            self.labels.len() - 1
        });
        let value = &mut self.labels[place].1;
        let left = LONGEST.saturating_sub(value.chars().count());
        value.extend(text.chars().filter(|one| !is_deceptive(*one)).take(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(metadata: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
        let description = format!(
            "<domain type='kvm' id='3'><name>a</name><metadata>{metadata}</metadata>\
             <devices><uid xmlns='http://kubevirt.io'>no</uid></devices></domain>"
        );
        let owned = |said: &Metadatum| {
            said.labels().map(|(name, value)| (name, value.to_owned())).collect()
        };
        read(&description).iter().map(|said| (said.layer.metric, owned(said))).collect()
    }

    #[test]
    fn each_layer_is_known_by_its_namespace() {
        let metadata = "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'>\
            <n:package version='27.0.0'/><n:name>web &amp; &#x41;</n:name>\
            <n:flavor name='m1.small'><n:memory>512</n:memory></n:flavor>\
            <n:creationTime>2024-02-29 12:00:00</n:creationTime><n:root type='image' uuid='r-1'/>\
            <n:owner><n:user uuid='u-1'>ada</n:user><n:project uuid='p-1'/></n:owner>\
            </n:instance>\
            <kubevirt xmlns='http://kubevirt.io'><uid>k-1</uid></kubevirt>\
            <one:vm xmlns:one='http://opennebula.org/xmlns/libvirt/1.0'>\
            <one:name><![CDATA[db]]></one:name><one:uid>7</one:uid></one:vm>\
            <vm xmlns='http://example.com/'><name>other</name></vm>";
        let owned = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
        };
        let expected = [
            (
                "libvirt_domain_openstack_info",
                owned(&[
                    ("instance_name", "web & A"),
                    ("flavor_name", "m1.small"),
                    ("root_type", "image"),
                    ("root_id", "r-1"),
                    ("user_id", "u-1"),
                    ("user_name", "ada"),
                    ("project_id", "p-1"),
                ]),
            ),
            ("libvirt_domain_kubevirt_info", owned(&[("vmi_uid", "k-1")])),
            ("libvirt_domain_opennebula_info", owned(&[("vm_name", "db"), ("user_id", "7")])),
        ];
        assert_eq!(labels(metadata), expected);
    }

    #[test]
    fn nonsense_is_no_metadata() {
        for text in ["", "<domain>", "</a>", "<domain><metadata><a/></metadata></domain>", "&&"] {
            assert!(read(text).is_empty(), "{text}");
        }
        let many: String =
            (0..10_000).map(|number| format!(" xmlns:n{number}='http://example.com/'")).collect();
        let crowded =
            format!("<a{many}/><kubevirt xmlns='http://kubevirt.io'><uid>k</uid></kubevirt>");
        assert!(labels(&crowded).is_empty(), "each namespace takes memory");
        let name = "x".repeat(100_000);
        let long = format!(
            "<k xmlns='http://kubevirt.io'/><kubevirt xmlns='http://kubevirt.io'>\
                            <uid>{name}</uid></kubevirt>"
        );
        let said = labels(&long);
        assert_eq!((said.len(), said[0].1[0].1.len()), (1, LONGEST));
    }
}
