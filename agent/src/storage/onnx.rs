//! Policies as ONNX models, which any runtime of that format plays: normaliser, networks and mask in one graph.
//!
//! # Source
//! <https://github.com/onnx/onnx/blob/v1.16.0/onnx/onnx.proto> for the numbers of fields.

use crate::{
    Activation, AgentError, Policy,
    policy::{layout::Net, normalizer::CLIP},
    storage::{model_file::schema_sha256, protobuf::Message, tensor_file},
};

/// Version of the intermediate representation, and of the operators.
const IR_VERSION: u64 = 9;
const OPSET: u64 = 17;
/// Types of tensors.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
const BOOL: u64 = 9;
/// Logit of an illegal action: its probability is zero in single precision.
const ILLEGAL: f32 = -1e30;

impl Policy {
    /// Returns the policy as an ONNX model (opset 17).
    ///
    /// Inputs: `obs` `[N, W·F + A]`, single precision, as in [`Policy::decide`], and `mask` `[N, K]`, true for legal actions.
    /// Outputs:
    /// `action` `[N]`, the most probable one, `probabilities` `[N, K]` and `value` `[N]`. The metadata hold the specification as
    /// JSON (`spec`) and its hash (`schema_sha256`).
    ///
    /// # Errors
    /// [`AgentError::Spec`] for a recurrent policy.
    pub fn to_onnx(&self) -> Result<Vec<u8>, AgentError> {
        if self.is_recurrent() {
            return Err(AgentError::Spec("it is recurrent, which the export to ONNX does not cover".into()));
        }
        let spec = serde_json::to_string(&self.spec).expect("names and numbers are always JSON");
        let model = Message::default()
            .integer(1, IR_VERSION)
            .text(2, "zerodte")
            .message(7, &Graph::of(self).message(self))
            .message(8, &Message::default().text(1, "").integer(2, OPSET))
            .messages(14, &[entry("schema_sha256", &schema_sha256(&self.spec)), entry("spec", &spec)]);
        Ok(model.into_bytes())
    }
}

fn entry(key: &str, value: &str) -> Message {
    Message::default().text(1, key).text(2, value)
}

/// Nodes and constants of a graph under construction.
#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Graph {
    /// Returns the graph of a feed-forward policy.
    fn of(policy: &Policy) -> Self {
        let mut graph = Self::default();
        let layout = &policy.layout;
        let inputs = graph.normalized(policy);
        let shared = graph.net(policy, &layout.trunk, inputs);
        let logits = graph.net(policy, &layout.actor, shared.clone());
        graph.floats("illegal", &[], &[ILLEGAL]);
        graph.node("Where", &["mask", &logits, "illegal"], "legal_logits", &[]);
        graph.node("Softmax", &["legal_logits"], "probabilities", &[]);
        graph.node("ArgMax", &["probabilities"], "action", &[("axis", 1), ("keepdims", 0)]);
        let value = graph.net(policy, &layout.critic, shared);
        graph.constants.push(tensor("last_axis", &[1], INT64, &1_i64.to_le_bytes()));
        graph.node("Squeeze", &[&value, "last_axis"], "value", &[]);
        graph
    }

    /// Adds the normaliser and returns the name of its output.
    fn normalized(&mut self, policy: &Policy) -> String {
        let (spec, normalizer) = (&policy.spec, &policy.normalizer);
        let columns = |of_feature: &[f32], of_account: f32| {
            let mut values = of_feature.repeat(spec.frames);
            values.extend(std::iter::repeat_n(of_account, spec.account.len()));
            values
        };
        let features = spec.features.len();
        let steps = [
            ("Sub", "mean", columns(&normalizer.mean, 0.0)),
            ("Div", "scale", columns(&normalizer.scale, 1.0)),
            ("Max", "low", columns(&vec![-CLIP; features], f32::MIN)),
            ("Min", "high", columns(&vec![CLIP; features], f32::MAX)),
        ];
        steps.into_iter().fold("obs".to_owned(), |input, (operator, name, values)| {
            self.floats(name, &[values.len()], &values);
            let output = format!("after_{name}");
            self.node(operator, &[&input, name], &output, &[]);
            output
        })
    }

    /// Adds the layers of a network and returns the name of its output; an empty network passes its input on.
    fn net(&mut self, policy: &Policy, net: &Net, input: String) -> String {
        let activation = match policy.config.activation {
            Activation::Tanh => "Tanh",
            Activation::Relu => "Relu",
        };
        net.layers.iter().enumerate().fold(input, |input, (index, layer)| {
            let name = format!("{}.{index}", net.name);
            let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
            self.floats(&weight, &[layer.outputs, layer.inputs], &policy.params[layer.weight()]);
            self.floats(&bias, &[layer.outputs], &policy.params[layer.bias()]);
            self.node("Gemm", &[&input, &weight, &bias], &name, &[("transB", 1)]);
            if !layer.activated {
                return name;
            }
            let output = format!("{name}.activated");
            self.node(activation, &[&name], &output, &[]);
            output
        })
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constants.push(tensor(name, shape, FLOAT, &tensor_file::bytes(values)));
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, u64)]) {
        const KIND_INT: u64 = 2;
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let attribute =
            |(name, value): &(&str, u64)| Message::default().text(1, name).integer(3, *value).integer(20, KIND_INT);
        let attributes: Vec<Message> = attributes.iter().map(attribute).collect();
        self.nodes.push(node.text(2, output).text(3, output).text(4, operator).messages(5, &attributes));
    }

    fn message(self, policy: &Policy) -> Message {
        let (inputs, actions) = (policy.spec.inputs(), policy.spec.actions.len());
        Message::default()
            .messages(1, &self.nodes)
            .text(2, "policy")
            .messages(5, &self.constants)
            .messages(11, &[port("obs", FLOAT, Some(inputs)), port("mask", BOOL, Some(actions))])
            .messages(
                12,
                &[port("action", INT64, None), port("probabilities", FLOAT, Some(actions)), port("value", FLOAT, None)],
            )
    }
}

/// Returns a constant tensor.
fn tensor(name: &str, shape: &[usize], kind: u64, bytes: &[u8]) -> Message {
    let tensor = shape.iter().fold(Message::default(), |tensor, &size| tensor.integer(1, size as u64));
    tensor.integer(2, kind).text(8, name).bytes(9, bytes)
}

/// Returns an input or output `[N]`, or `[N, columns]`.
fn port(name: &str, kind: u64, columns: Option<usize>) -> Message {
    let rows = Message::default().text(2, "N");
    let columns = columns.map(|columns| Message::default().integer(1, columns as u64));
    let shape: Vec<Message> = std::iter::once(rows).chain(columns).collect();
    let tensor = Message::default().integer(1, kind).message(2, &Message::default().messages(1, &shape));
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

#[cfg(test)]
mod tests {
    use crate::{PolicyConfig, Trunk, games::best_row};

    /// The numbers of a graph are compared with a runtime's in `python/tests/test_policy.py`.
    #[test]
    fn a_model_names_its_inputs_outputs_and_columns() {
        let policy = best_row::shaken_policy(&PolicyConfig::default());
        let bytes = policy.to_onnx().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for part in ["obs", "mask", "action", "probabilities", "value", "actor.2.weight", "schema_sha256", "\"phase\""]
        {
            assert!(text.contains(part), "{part}");
        }
        assert!(bytes.len() > policy.params().len() * 4);
        let shared = PolicyConfig { trunk: Trunk::Shared, ..PolicyConfig::default() };
        let shared = best_row::shaken_policy(&shared).to_onnx().unwrap();
        assert!(String::from_utf8_lossy(&shared).contains("trunk.1.activated") && shared.len() < bytes.len());
    }
}
