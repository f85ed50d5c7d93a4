//! What lies between two int8 products in one operator: sums of several rows, layer normalisation, and the quantising for
//! the next product.

use std::collections::{HashMap, HashSet};

use super::net::{Net, int, ints, is, is_own, len, other, own, with_float};
use super::proto::Node;
use crate::runtime::operators::{ATTENTION, DECODER_MEMORY, ENCODER_MEMORY, FINISH_ROWS};

/// The addends among the inputs of [`FINISH_ROWS`], and gamma and beta.
const ADDENDS: [usize; 2] = [6, 7];
const GAIN: [usize; 2] = [8, 9];
/// The outputs of [`FINISH_ROWS`]: the sum, the normalised rows, their 8 bits with scale and zero point.
const OUTPUTS: usize = 5;

/// Joins what can be joined, and says how many operators do more than before.
pub fn join_rows(net: &Net) -> Option<(Net, usize)> {
    let mut joined = Joined { net, by: HashMap::new(), gone: HashSet::new(), count: 0 };
    // First the products, whose results need no other pass over them then; after them what is normalised otherwise.
    for at in 0..net.nodes().len() {
        Finish::of_product(net, at).into_iter().for_each(|finish| joined.extend(finish));
    }
    for at in 0..net.nodes().len() {
        joined.normalised(at).into_iter().for_each(|finish| joined.extend(finish));
    }
    let (by, count) = (joined.by, joined.count);
    Some((net.clone().replace(by)?, count))
}

/// One operator that grows.
struct Finish {
    /// Where it is put: all that it takes is there by then.
    place: usize,
    /// With its inputs and outputs; names are empty where there is none.
    node: Node,
    /// How long a row is.
    width: usize,
    /// The nodes that it stands for.
    gone: Vec<usize>,
}

impl Finish {
    /// What finishes a product; none where it does more than that already.
    fn of_product(net: &Net, at: usize) -> Option<Self> {
        let node = net.nodes().get(at).filter(|node| is_own(node, FINISH_ROWS))?;
        let ([_, _, _, _, _, bias], [_]) = (node.input.as_slice(), node.output.as_slice()) else { return None };
        Some(Self { place: at, node: node.clone(), width: len(net.weight(bias)?)?, gone: vec![at] })
    }

    fn set_input(&mut self, at: usize, name: &str) {
        self.node.input.resize(self.node.input.len().max(at + 1), String::new());
        name.clone_into(&mut self.node.input[at]);
    }
}

/// The new nodes, and those that they stand for.
struct Joined<'a> {
    net: &'a Net,
    by: HashMap<usize, Vec<Node>>,
    gone: HashSet<usize>,
    count: usize,
}

impl Joined<'_> {
    /// Where the mean at `at` is that of a normalisation before a product: the sum that is normalised, or its copy.
    fn normalised(&self, at: usize) -> Option<Finish> {
        let (net, nodes) = (self.net, self.net.nodes());
        let input = nodes.get(at).filter(|node| is(node, "ReduceMean"))?.input.first()?;
        let norm = Norm::of(net, input).filter(|norm| !self.gone.contains(&norm.last))?;
        quantising(net, &norm.output)?;
        let place = net.maker(input, "Add").filter(|add| !self.gone.contains(add));
        let operands = place.map(|add| nodes[add].input.as_slice());
        let fit = |name: &String| width(net, name) == Some(norm.width);
        let width = norm.width;
        Some(match (place, operands) {
            (Some(place), Some([a, b])) if fit(a) && fit(b) => {
                let node = own(FINISH_ROWS, &["", "", "", "", "", "", a, b], &[input], vec![]);
                Finish { place, node, width, gone: vec![place] }
            }
            _ => {
                let node = own(FINISH_ROWS, &["", "", "", "", "", "", input], &[""], vec![]);
                Finish { place: at, node, width, gone: vec![] }
            }
        })
    }

    /// Takes in all that follows, and puts the operator into the graph.
    fn extend(&mut self, mut finish: Finish) {
        let (net, nodes) = (self.net, self.net.nodes());
        if is_empty(&finish.node, ADDENDS[0]) {
            self.add_to(&mut finish);
        }
        finish.node.output.resize(OUTPUTS, String::new());
        let sum = finish.node.output[0].clone();
        // Where nothing is summed up, the input is what counts.
        let mut last = if sum.is_empty() { finish.node.input[ADDENDS[0]].clone() } else { sum };
        let mut taken = Vec::new();
        if let Some(norm) = Norm::of(net, &last).filter(|norm| norm.width == finish.width) {
            GAIN.into_iter().zip([&norm.gamma, &norm.beta]).for_each(|(at, name)| finish.set_input(at, name));
            finish.node.attribute.push(with_float("epsilon", norm.epsilon));
            finish.node.output[1].clone_from(&norm.output);
            finish.gone.push(norm.last);
            taken.extend(norm.users);
            last = norm.output;
        }
        if let Some(at) = quantising(net, &last).filter(|at| !self.gone.contains(at)) {
            finish.node.output[2..].clone_from_slice(&nodes[at].output[2..]);
            finish.gone.push(at);
            taken.push(at);
        }
        // What nobody else wants is not written down.
        for output in &mut finish.node.output[..2] {
            if !net.is_port(output) && net.users(output).iter().all(|user| taken.contains(user)) {
                output.clear();
            }
        }
        self.count += usize::from(finish.gone.len() > 1);
        finish.gone.iter().for_each(|&at| drop(self.by.insert(at, vec![])));
        let others = if finish.gone.contains(&finish.place) { vec![] } else { vec![nodes[finish.place].clone()] };
        self.by.insert(finish.place, [vec![finish.node], others].concat());
        self.gone.extend(finish.gone);
    }

    /// Takes in rows that are added to a product.
    fn add_to(&self, finish: &mut Finish) {
        let (net, nodes) = (self.net, self.net.nodes());
        for slot in ADDENDS {
            let sum = finish.node.output[0].clone();
            let add = net.only_user(&sum).filter(|at| is(&nodes[*at], "Add") && !self.gone.contains(at));
            let addend = add.and_then(|at| Some((at, other(&nodes[at].input, &sum)?, nodes[at].output.first()?)));
            let Some((at, addend, result)) = addend.filter(|(_, name, _)| width(net, name) == Some(finish.width))
            else {
                return;
            };
            finish.set_input(slot, addend);
            finish.node.output[0].clone_from(result);
            finish.place = at;
            finish.gone.push(at);
        }
    }
}

fn is_empty(node: &Node, input: usize) -> bool {
    node.input.get(input).is_none_or(String::is_empty)
}

/// The node that quantises rows, and does nothing else to them.
pub fn quantising(net: &Net, rows: &str) -> Option<usize> {
    net.users(rows).iter().copied().find(|&at| {
        let node = &net.nodes()[at];
        is_own(node, FINISH_ROWS) && node.input.len() == ADDENDS[0] + 1 && node.output.len() == OUTPUTS
    })
}

/// How long the rows of a value are, where it is certain that it has as many as there are steps.
fn width(net: &Net, name: &str) -> Option<usize> {
    let columns = |weight: &String| usize::try_from(*net.weight(weight)?.dims.last()?).ok();
    let direct = |name: &str| {
        let node = &net.nodes()[net.maker_of(name)?];
        if is_own(node, FINISH_ROWS) {
            return columns(node.input.get(5)?);
        }
        if is_own(node, ATTENTION) {
            return columns(node.input.get(13)?).filter(|_| node.output.get(3).is_some_and(|memory| memory == name));
        }
        let is_memory = [ENCODER_MEMORY, DECODER_MEMORY].iter().any(|op_type| is_own(node, op_type));
        columns(node.input.get(2)?).filter(|_| is_memory && node.output.first().is_some_and(|out| out == name))
    };
    // The sum of rows and what is added to them; such sums form long chains.
    let mut name = name;
    loop {
        if let Some(width) = direct(name) {
            return Some(width);
        }
        let [a, b] = net.nodes()[net.maker(name, "Add")?].input.as_slice() else { return None };
        if let Some(width) = direct(b) {
            return Some(width);
        }
        name = a;
    }
}

/// Layer normalisation as torch.onnx spreads it over nodes.
struct Norm {
    width: usize,
    /// The two nodes that use what is normalised.
    users: [usize; 2],
    /// The node that gives the result.
    last: usize,
    gamma: String,
    beta: String,
    epsilon: f32,
    output: String,
}

impl Norm {
    /// The normalisation of `input`.
    fn of(net: &Net, input: &str) -> Option<Self> {
        let nodes = net.nodes();
        let output = |at: usize| nodes[at].output.first();
        let next = |at: usize, op_type: &str| {
            net.only_user(output(at)?).filter(|&user| is(&nodes[user], op_type)).map(|user| (user, &nodes[user].input))
        };
        let is_mean = |at: usize| {
            is(&nodes[at], "ReduceMean")
                && ints(&nodes[at], "axes") == Some(&[-1])
                && int(&nodes[at], "keepdims") != Some(0)
                && nodes[at].input.len() == 1
        };
        let mean = net.users(input).iter().copied().find(|&at| is_mean(at))?;
        let (centred, operands) = next(mean, "Sub")?;
        if operands.first().is_none_or(|name| name != input) {
            return None;
        }
        let deviation = output(centred)?;
        let [one, two] = net.users(deviation) else { return None };
        let (square, quotient) = if is(&nodes[*one], "Pow") { (*one, *two) } else { (*two, *one) };
        let of_square = nodes[square].input.get(1).filter(|_| is(&nodes[square], "Pow"))?;
        let variance = net.only_user(output(square)?).filter(|&at| is_mean(at))?;
        let (plus, operands) = next(variance, "Add")?;
        let epsilon = net.number(other(operands, output(variance)?)?)?;
        let (root, _) = next(plus, "Sqrt")?;
        let (divided, operands) = next(root, "Div")?;
        let (scaled, factors) = next(divided, "Mul")?;
        let gamma = net.origin(other(factors, output(divided)?)?);
        let (last, operands_of_last) = next(scaled, "Add")?;
        let beta = net.origin(other(operands_of_last, output(scaled)?)?);
        let row = |name: &str| net.weight(name).filter(|weight| weight.dims.len() == 1).and_then(len);
        let width = row(gamma).filter(|&width| row(beta) == Some(width))?;
        let fits = net.number(of_square) == Some(2.0)
            && divided == quotient
            && operands.first() == Some(deviation)
            && !net.is_port(deviation);
        fits.then(|| Self {
            width,
            users: [mean, centred],
            last,
            gamma: gamma.to_owned(),
            beta: beta.to_owned(),
            epsilon,
            output: nodes[last].output[0].clone(),
        })
    }
}
